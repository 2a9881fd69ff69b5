"""Tool calls that become tasks: they are answered at once, and their result is fetched later."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from services.gateway.config_parts import Part


class TaskTool(Part):
    """Tools whose calls become tasks, for callers that declare `io.modelcontextprotocol/tasks`."""

    match: Annotated[str, Field(min_length=1)]
    """The name as callers see it; `*` stands for anything."""
    required: bool = False
    """Whether callers of 2026-07-28 that don't declare it are refused; others wait for the result."""
    ask_first: bool = False
    """Whether the tool asks for input before it begins: only a call that brings input becomes a task."""


class Tasks(Part):
    """Which calls, and how they are kept; needs Postgres."""

    tools: tuple[TaskTool, ...] = ()
    """Of several that match, the first counts. Besides, tools whose server declares it."""
    ttl_seconds: Annotated[int, Field(ge=1, le=30 * 86_400)] = 86_400
    """How long a task is kept from its creation, its result included."""
    poll_seconds: Annotated[float, Field(gt=0, le=3600)] = 1
    """How often callers are asked to look at most."""
    run_seconds: Annotated[float, Field(gt=0, le=86_400)] = 3600
    """The longest that a server may take for its answer."""
    per_principal: Annotated[int, Field(ge=1, le=100_000)] = 100
    """How many tasks one caller may have, finished ones included until they expire."""
    running: Annotated[int, Field(ge=1, le=10_000)] = 50
    """How many run at once in this gateway; others wait, or run in another one."""
    max_result_bytes: Annotated[int, Field(ge=1024)] = 1024 * 1024
    lease_seconds: Annotated[float, Field(ge=1, le=600)] = 15
    """A gateway that says nothing for so long is gone, and others take its tasks over."""
    max_runs: Annotated[int, Field(ge=1, le=100)] = 3
    """How often a task is begun again that is safe to repeat, when the gateway that runs it is gone."""

    @model_validator(mode="after")
    def _kept_while_running(self) -> Self:
        if self.run_seconds > self.ttl_seconds:
            raise ValueError(f"run_seconds must not be more than ttl_seconds, which is {self.ttl_seconds}")
        return self
