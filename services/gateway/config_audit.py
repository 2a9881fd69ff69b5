"""What is written down about calls, and what happens while it can't be."""

from typing import Annotated, Literal

from pydantic import Field

from services.gateway.config_parts import Part, Seconds


class Audit(Part):
    """One record for each tool call, each refusal for security's sake, and each act of an administrator."""

    sink: Literal["postgres", "log"] = "postgres"
    """Log: a line of JSON each on standard output, for whoever has no Postgres."""
    mode: Literal["buffered", "durable"] = "buffered"
    """Durable: no answer leaves before its record is committed. Buffered: it is, a moment later; only a crash
    of the gateway can lose it."""
    when_full: Literal["wait", "refuse"] = "wait"
    """What a call does that finds no room for its record: wait for it, or be refused at once."""
    wait_seconds: Seconds = 5
    """The longest such a wait, and in durable mode that for the commit."""
    buffer_records: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """How many there is room for: those of calls that are running and those that aren't written yet."""
    batch_records: Annotated[int, Field(ge=1, le=10_000)] = 1000
    """Written at once, at most."""
    flush_seconds: Annotated[float, Field(gt=0, le=60)] = 0.2
    """How long a buffered record waits for others, at most."""
    shutdown_seconds: Seconds = 4
    """For writing what is left at the end; what can't be is logged on standard error, record by record."""
    reads: bool = False
    """Whether resources that are read and prompts that are got count as calls."""
