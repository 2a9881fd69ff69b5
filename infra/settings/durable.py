"""Settings of what the gateway keeps in Postgres."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from infra.settings.fields import Group


class Audit(Group):
    """One record for each tool call, each refusal for security's sake, and each act of an administrator."""

    sink: Literal["postgres", "log", "none"] = "postgres"
    """Where records go: to the stack's Postgres, or among the lines of the gateway's log."""
    mode: Literal["buffered", "durable"] = "buffered"
    """Durable: no answer leaves before its record is committed. Buffered: it is, a moment later; only a crash
    of the gateway can lose it."""
    when_full: Literal["wait", "refuse"] = "wait"
    """What a call does while records can't be written and the room for more is taken: wait, or be refused."""
    wait_seconds: float = Field(default=5, gt=0, le=60)
    """The longest such a wait."""
    buffer_records: int = Field(default=10_000, ge=1, le=1_000_000)
    """The room, in each replica."""
    reads: bool = False
    """Whether resources that are read and prompts that are got count as calls."""
