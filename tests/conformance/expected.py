"""What the suite must find at a gateway in front of the fixture, as a process and in a cluster alike."""

from __future__ import annotations

from typing import Any

from tests.conformance.suite import Outcome

TASKS: dict[str, Any] = {
    "tools": [
        {"match": "failing_job", "required": True},
        {"match": "test_tool_with_task", "ask_first": True},
        *(
            {"match": name}
            for name in ("slow_compute", "protocol_error_job", "confirm_delete", "multi_input")
        ),
    ],
    "poll_seconds": 0.1,
}
"""The gateway's setting of tasks."""

PENDING = {"json-schema-2020-12", "http-header-validation", "http-custom-header-server-validation"}
"""Not required yet, and passed all the same."""

TASK_SCENARIOS = {
    "tasks-capability-negotiation",
    "tasks-dispatch-and-envelope",
    "tasks-lifecycle",
    "tasks-mrtr-composition",
    "tasks-mrtr-input",
    "tasks-request-headers",
    "tasks-request-state-removal",
    "tasks-required-task-error",
    "tasks-wire-fields",
}
"""Of an extension, so no revision requires them."""

OLDER = "2025-11-25"
CURRENT = "2026-07-28"
REQUIRED = {CURRENT: 37, OLDER: 30}
"""How many scenarios a revision requires of servers: fewer would mean that the suite has changed."""

BEYOND: dict[str, set[str]] = {CURRENT: PENDING | TASK_SCENARIOS, OLDER: set()}


def check(revision: str, outcome: Outcome) -> None:
    assert not outcome.unmet, outcome.output
    assert (outcome.code, outcome.required) == (0, REQUIRED[revision]), outcome.output
    assert outcome.met >= BEYOND[revision], outcome.output
