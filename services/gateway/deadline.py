"""Ends a request that takes too long as a whole, whatever it waits for."""

import asyncio
from types import TracebackType
from typing import Self

from services.gateway.answer import Answer
from services.gateway.errors import REQUEST_TIMEOUT, HttpRefusal
from services.gateway.record import Record


class Deadline:
    """`async with Deadline(seconds, record): …` cancels what is within, and raises HttpRefusal (504).

    It holds until the answer begins: how long a stream, or a caller that reads slowly, may take is bounded
    elsewhere.
    """

    def __init__(self, seconds: float, record: Record, answer: Answer | None = None) -> None:
        self._seconds = seconds
        self._record = record
        self._answer = answer
        self._passed = False

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine always runs in a task
        self._task = task
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._pass)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._passed and self._task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise HttpRefusal(
                504,
                f"no answer within {self._seconds:g} s; what was asked may have been carried out",
                reason="deadline",
                code=REQUEST_TIMEOUT,
                data={"type": "deadline"},
                violation=False,
            ) from None

    def _pass(self) -> None:
        if self._answer is not None and self._answer.status:
            return
        self._passed = True
        if self._record.call is not None:
            self._record.call.overdue = True
        self._task.cancel()
