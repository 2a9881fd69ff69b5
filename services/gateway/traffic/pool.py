"""The bulkhead of one server: how many requests may be with it at once, so that it can't slow down others."""

import asyncio


class Pool:
    """A number of slots; who finds none free waits, within bounds."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self.waiting = 0
        self._free = asyncio.Semaphore(limit)

    async def take(self, seconds: float) -> None:
        """Take a slot; who has one gives it back.

        Raises:
            TimeoutError: none was free for `seconds`.
        """
        if self._free.locked():
            self.waiting += 1
            try:
                async with asyncio.timeout(seconds):
                    await self._free.acquire()
            finally:
                self.waiting -= 1
        else:
            await self._free.acquire()
        self.used += 1

    def give_back(self) -> None:
        """Let the next one in."""
        self.used -= 1
        self._free.release()
