"""Notices that a caller has left while its answer is being made, and cancels the work."""

import asyncio
from types import TracebackType
from typing import Final, Self

from services.gateway.guard import ClientGoneError
from services.kit.asgi import Receive

GRACE_SECONDS: Final = 0.02
"""Most answers are there before this; they are spared the task that listens for the caller's leaving."""


class CancelOnDisconnect:
    """`async with CancelOnDisconnect(receive): …` raises ClientGoneError once the caller has left."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._listener: asyncio.Task[None] | None = None
        self._gone = False

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine always runs in a task
        self._task = task
        self._timer = asyncio.get_running_loop().call_later(GRACE_SECONDS, self._listen)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._listener is not None:
            self._listener.cancel()
        if self._gone and self._task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise ClientGoneError from None

    def _listen(self) -> None:
        self._listener = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        self._task.cancel()
