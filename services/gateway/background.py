"""The gateway's tasks that run as long as it does."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from services.kit.logs import get_logger

RESTART_SECONDS: Final = 5.0


class Background:
    """Keeps tasks running until it is stopped."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def keep(self, what: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run `run` for ever, again should a defect end it: a fleet that is stale, say, would be worse."""
        self._tasks.append(asyncio.create_task(_keep_running(what, run)))

    async def stop(self) -> None:
        """Cancel all, and wait until they have ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _keep_running(what: str, run: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await run()
        except Exception:  # noqa: BLE001 - whatever it is, it is logged and the task goes on
            get_logger().exception(f"{what} stopped")
            await asyncio.sleep(RESTART_SECONDS)
