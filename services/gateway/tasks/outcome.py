"""What comes of one run of a task, and how it is written down."""

from dataclasses import dataclass
from typing import Protocol

import msgspec

from services.gateway.errors import INTERNAL_ERROR, RpcError
from services.gateway.messages import encode
from services.gateway.tasks.store import Job, TaskStore

_LONGEST_MESSAGE = 500


class Outcome(Protocol):
    """Knows how to write itself down."""

    async def write(self, store: TaskStore, job: Job) -> bool:
        """Whether the task was still ours to write to."""
        ...


@dataclass(frozen=True, slots=True)
class Completed:
    """There is a result; it may say that the tool failed."""

    result: bytes

    async def write(self, store: TaskStore, job: Job) -> bool:
        """See `Outcome`."""
        return await store.complete(job, self.result)


@dataclass(frozen=True, slots=True)
class Failed:
    """There is a JSON-RPC error instead."""

    error: bytes
    message: str

    async def write(self, store: TaskStore, job: Job) -> bool:
        """See `Outcome`."""
        return await store.fail(job, self.error, self.message)


@dataclass(frozen=True, slots=True)
class Asks:
    """The server needs input, or with no requests a pause."""

    requests: dict[str, msgspec.Raw]
    state: bytes | None

    async def write(self, store: TaskStore, job: Job) -> bool:
        """See `Outcome`."""
        return await store.ask(job, self.requests, self.state)


@dataclass(frozen=True, slots=True)
class Later:
    """It couldn't be begun now."""

    seconds: float

    async def write(self, store: TaskStore, job: Job) -> bool:
        """See `Outcome`."""
        await store.release([job], self.seconds)
        return True


def failed(message: str) -> Failed:
    """It failed because of us."""
    return failed_by(RpcError(INTERNAL_ERROR, message))


def failed_by(error: RpcError) -> Failed:
    """It failed by an error that a caller who waits would have got."""
    content = {"code": error.code, "message": error.message}
    if error.data is not None:
        content["data"] = error.data
    return Failed(encode(content), error.message[:_LONGEST_MESSAGE].replace("\0", ""))
