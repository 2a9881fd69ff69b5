"""Settings of what the gateway keeps in Postgres."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from infra.settings.fields import Group, Text, reject


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


class TaskTool(Group):
    """Tools whose calls become tasks, for clients that declare `io.modelcontextprotocol/tasks`."""

    match: Text
    """The tool's name as clients see it; `*` stands for anything."""
    required: bool = False
    """Whether clients of 2026-07-28 that don't declare it are refused; others wait for the result."""
    ask_first: bool = False
    """Whether the tool asks for input before it begins: only a call that brings input becomes a task."""


class Tasks(Group):
    """Tool calls that become tasks: they are answered at once, and their result is fetched later."""

    tools: tuple[TaskTool, ...] = ()
    """Of several that match, the first counts. Besides, tools whose server declares it."""
    ttl_seconds: int = Field(default=86_400, ge=1, le=30 * 86_400)
    """How long a task is kept from its creation, its result included."""
    poll_seconds: float = Field(default=1, gt=0, le=3600)
    """How often clients are asked to look at most."""
    run_seconds: float = Field(default=3600, gt=0, le=86_400)
    """The longest that a server may take for its answer."""
    per_principal: int = Field(default=100, ge=1, le=100_000)
    """How many tasks one client may have, finished ones included until they expire."""
    running: int = Field(default=50, ge=1, le=10_000)
    """How many run at once in each replica; others wait."""
    max_result_bytes: int = Field(default=2**20, ge=1024)
    lease_seconds: float = Field(default=15, ge=1, le=600)
    """A replica that says nothing for so long is gone, and others take its tasks over."""
    max_runs: int = Field(default=3, ge=1, le=100)
    """How often a task is begun again that is safe to repeat, when the replica that runs it is gone."""

    @model_validator(mode="after")
    def _kept_while_running(self) -> Tasks:
        if self.run_seconds > self.ttl_seconds:
            reject(
                "run_seconds",
                f"must not be more than ttl_seconds, which is {self.ttl_seconds}",
                self.run_seconds,
            )
        return self
