"""What a service knows about its own health, and how a probe asks.

Live: the event loop answers. Started: initialization is over. Ready: every named check passes and the
service isn't draining. Only readiness depends on anything else, so that a broken dependency takes a pod out
of its Service and doesn't get it killed.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Final

Check = Callable[[], "str | Awaitable[str | None] | None"]
"""Says nothing (None) when all is well, else what is wrong; may be a coroutine function."""

CHECK_SECONDS: Final = 2.0
"""A check that takes longer than this counts as failed; a probe must not hang."""

OK: Final = "ok"


class Health:
    """The state behind the health endpoints of one process."""

    def __init__(self) -> None:
        self.started = False
        self.draining = False
        self.draining_since = 0.0
        """By the monotonic clock."""
        self._checks: dict[str, Check] = {}
        self.optional: set[str] = set()
        """Checks that are reported but don't decide about readiness."""

    def add_check(self, name: str, check: Check, *, required: bool = True) -> None:
        """Make readiness depend on `check`; unless it is required, only report it."""
        self._checks[name] = check
        if not required:
            self.optional.add(name)

    async def run_checks(self) -> dict[str, str]:
        """Each check's name with "ok" or what is wrong, in the order in which they were added."""
        results = await asyncio.gather(*(_run(check) for check in self._checks.values()))
        found = dict(zip(self._checks, results, strict=True))
        if not self.started:
            found["startup"] = "not finished"
        if self.draining:
            found["shutdown"] = "draining"
        return found


async def _run(check: Check) -> str:
    try:
        result = check()
        if inspect.isawaitable(result):
            result = await asyncio.wait_for(result, CHECK_SECONDS)
    except TimeoutError:
        return f"no answer within {CHECK_SECONDS:g} s"
    except Exception as error:  # noqa: BLE001 - whatever a check raises means that it failed, and the probe says so
        return f"{type(error).__name__}: {error}"
    return OK if result is None else result
