"""Running blocking functions in a bounded pool of threads, and telling them when nobody waits any more.

A thread can't be stopped from outside. So a call that timed out, or whose caller went away, is marked as
abandoned, and code that works for long asks `checkpoint()` between its steps. A thread that never asks stays
in the pool until it ends: the pool bounds how much of that there can be.
"""

import asyncio
import contextvars
import functools
import inspect
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_abandoned: contextvars.ContextVar[threading.Event | None] = contextvars.ContextVar("abandoned", default=None)


class AbandonedError(Exception):
    """The call that this work was for has ended; there is nobody to answer."""


def checkpoint() -> None:
    """Return when the current call is still wanted.

    Raises:
        AbandonedError: it timed out or was cancelled. Undo what is half done and let this pass.
    """
    event = _abandoned.get()
    if event is not None and event.is_set():
        raise AbandonedError


class Threads:
    """A pool of at most `size` threads for blocking functions."""

    def __init__(self, size: int) -> None:
        self._pool = ThreadPoolExecutor(size, thread_name_prefix="tool")

    def wrap(self, function: Callable[P, T] | Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        """`function` itself when it is a coroutine function, else one that runs it in the pool."""
        if inspect.iscoroutinefunction(function):
            return function

        @functools.wraps(function)
        async def run_in_pool(*args: P.args, **kwargs: P.kwargs) -> T:
            return await self._run(functools.partial(function, *args, **kwargs))  # pyright: ignore[reportReturnType, reportArgumentType]  # the coroutine case was returned above

        return run_in_pool

    def close(self) -> None:
        """Wait for what is running; what is not yet running never will."""
        self._pool.shutdown(cancel_futures=True)

    async def _run(self, work: Callable[[], T]) -> T:
        """Run `work` with this task's context variables (request id, span)."""
        abandoned = threading.Event()
        context = contextvars.copy_context()
        context.run(_abandoned.set, abandoned)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, context.run, work)
        except asyncio.CancelledError:
            abandoned.set()
            raise
