"""A circuit breaker: a server that keeps failing isn't asked for a while, then by one call to see."""

import math
import time
from enum import Enum, IntEnum, auto

from services.gateway.config import Breaker as BreakerSettings
from services.kit.logs import get_logger


class State(IntEnum):
    """As the metric shows it."""

    CLOSED = 0
    HALF_OPEN = 1
    """One call is trying whether the server works again."""
    OPEN = 2


class Permit(Enum):
    """What a call may do."""

    NORMAL = auto()
    PROBE = auto()
    """It decides whether the breaker closes."""
    REFUSED = auto()


class Breaker:
    """The breaker of one server; every permit that isn't a refusal is given back with what became of it."""

    def __init__(self, server: str, settings: BreakerSettings) -> None:
        self._server = server
        self._settings = settings
        self.state = State.CLOSED
        self.held = False
        """Whether an operator opened it, to stay so until it is reset."""
        self._closed_again_at = 0.0
        self._reset()

    def admit(self) -> Permit:
        """Ask to call the server."""
        if self.state is State.CLOSED:
            return Permit.NORMAL
        if self.state is State.HALF_OPEN or time.monotonic() < self._closed_again_at:
            return Permit.REFUSED
        self.state = State.HALF_OPEN
        return Permit.PROBE

    def leave(self, permit: Permit, *, failed: bool | None) -> None:
        """Say what became of the call; None where that says nothing of the server."""
        if permit is Permit.PROBE and self.state is State.HALF_OPEN:
            self._decide(failed)
        elif self.state is State.CLOSED and failed is not None:
            self._count(failed=failed)

    @property
    def seconds_left(self) -> float:
        """Until a call may try again; infinite while it is held open."""
        return 0.0 if self.state is State.CLOSED else max(0.0, self._closed_again_at - time.monotonic())

    @property
    def counts(self) -> tuple[int, int]:
        """Calls and failures that it judges by."""
        calls, failures = zip(self._before, self._current, strict=True)
        return sum(calls), sum(failures)

    def hold_open(self) -> None:
        """Let no call through until `reset`."""
        self._open()
        self.held = True
        self._closed_again_at = math.inf

    def reset(self) -> None:
        """Let calls through, as if nothing had happened."""
        self.state = State.CLOSED
        self.held = False
        self._reset()
        get_logger().info("breaker reset", server=self._server)

    def _decide(self, failed: bool | None) -> None:
        if failed:
            self._open()
        elif failed is None:
            self.state = State.OPEN  # its time is over: the next call is the probe
        else:
            self.state = State.CLOSED
            self._reset()
            get_logger().info("breaker closed", server=self._server)

    def _count(self, *, failed: bool) -> None:
        now = time.monotonic()
        # Two halves: the window is between one half and the whole of what is set.
        if now - self._began > self._settings.window_seconds / 2:
            recent = now - self._began <= self._settings.window_seconds
            self._before = self._current if recent else (0, 0)
            self._current, self._began = (0, 0), now
        calls, failures = self._current
        self._current = calls + 1, failures + failed
        calls, failures = self.counts
        if failed and calls >= self._settings.min_calls and failures >= calls * self._settings.failure_share:
            self._open()

    def _open(self) -> None:
        self.state = State.OPEN
        self._closed_again_at = time.monotonic() + self._settings.open_seconds
        get_logger().warning("breaker opened", server=self._server, seconds=self._settings.open_seconds)

    def _reset(self) -> None:
        self._before = self._current = (0, 0)
        """Calls and failures in the older and the younger half of the window."""
        self._began = time.monotonic()
