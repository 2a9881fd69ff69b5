"""What a task is, and how callers see it."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

from services.gateway.messages import RawObject, raw

_ID_BYTES: Final = 24
_MILLISECONDS: Final = 1000


class Status(StrEnum):
    """Of a task; the last three are final."""

    WORKING = "working"
    INPUT_REQUIRED = "input_required"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A row of the table, without what only its owner needs."""

    id: str
    server: str
    tool: str
    status: Status
    status_message: str | None
    created_at: datetime
    updated_at: datetime
    expires_at: datetime
    input_requests: bytes | None
    input_responses: bytes | None
    result: bytes | None
    error: bytes | None


def new_id() -> str:
    """One that nobody can guess."""
    return secrets.token_urlsafe(_ID_BYTES)


def described(task: Task, poll_seconds: float) -> RawObject:
    """What all that is said about a task begins with."""
    ttl = task.expires_at - task.created_at
    shown: dict[str, Any] = {
        "taskId": task.id,
        "status": task.status,
        "createdAt": _time(task.created_at),
        "lastUpdatedAt": _time(task.updated_at),
        "ttlMs": round(ttl.total_seconds() * _MILLISECONDS),
        "pollIntervalMs": max(1, round(poll_seconds * _MILLISECONDS)),
    }
    if task.status_message is not None:
        shown["statusMessage"] = task.status_message
    return {key: raw(value) for key, value in shown.items()}


def created(task: Task, poll_seconds: float) -> RawObject:
    """`CreateTaskResult`."""
    return {"resultType": raw("task"), **described(task, poll_seconds)}


def detailed(task: Task, poll_seconds: float) -> RawObject:
    """The result of `tasks/get`."""
    shown = described(task, poll_seconds)
    if task.status is Status.INPUT_REQUIRED:
        shown["inputRequests"] = raw(outstanding(task))
    elif task.status is Status.COMPLETED and task.result is not None:
        shown["result"] = msgspec.Raw(task.result)
    elif task.status is Status.FAILED and task.error is not None:
        shown["error"] = msgspec.Raw(task.error)
    return shown


def outstanding(task: Task) -> dict[str, msgspec.Raw]:
    """The requests for input that aren't answered yet."""
    requests, responses = map_of(task.input_requests), map_of(task.input_responses)
    return {key: value for key, value in requests.items() if key not in responses}


def map_of(content: bytes | None) -> dict[str, msgspec.Raw]:
    """A JSON object of ours that is stored; empty where there is none."""
    return {} if content is None else msgspec.json.decode(content, type=dict[str, msgspec.Raw])


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
