"""Single flight: who asks for what is being fetched already waits for that instead of fetching it, too.

The work is a task of its own. So whoever began it may leave without harm to the others; when all have left,
it is cancelled.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Flight(Generic[T]):
    task: asyncio.Task[T]
    passengers: int = 0


class Flights(Generic[T]):
    """The work that is under way, by key."""

    def __init__(self) -> None:
        self._flights: dict[bytes, _Flight[T]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    async def share(self, key: bytes, work: Callable[[], Coroutine[Any, Any, T]]) -> tuple[T, bool]:
        """What `work` gives, or raises, be it ours or that of somebody before us; and whether it was ours."""
        flight = self._flights.get(key)
        began = flight is None
        if flight is None:
            flight = self._begin(key, work)
        flight.passengers += 1
        try:
            return await asyncio.shield(flight.task), began
        finally:
            flight.passengers -= 1
            if not flight.passengers and not flight.task.done():
                self._forget(key, flight)
                flight.task.cancel()

    def _begin(self, key: bytes, work: Callable[[], Coroutine[Any, Any, T]]) -> _Flight[T]:
        flight = _Flight(asyncio.create_task(work()))
        self._flights[key] = flight
        flight.task.add_done_callback(lambda _: self._forget(key, flight))
        return flight

    def _forget(self, key: bytes, flight: _Flight[T]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
