"""Sheds load: refuses requests while the process can't keep up with those that it has.

Measured is the lag of the event loop, the time by which a timer fires late: it grows when, and only when,
there is more work than the process can do, however slow the servers behind it are. While it is too large,
ever fewer requests are worked on at once, so that there is time for refusing the others promptly; when it
isn't, ever more again, until there is no limit. A refusal must cost next to nothing, so it happens before
anything of a request is looked at.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Generator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.gateway.config import Overload
from services.gateway.errors import RATE_LIMITED, RpcError
from services.gateway.messages import error_bytes
from services.kit.asgi import JSON, App, Receive, Scope, Send
from services.kit.http_protocol import Door

TICK_SECONDS: Final = 0.02
SMOOTHING: Final = 0.5
"""Weight of the newest lag: a single pause, such as a garbage collection, refuses nobody."""
LEAST: Final = 0.25
"""The limit is never less than this part of the settings': the loop may be late for others' sake."""
FEWER: Final = 0.9
"""What a tick with too much lag makes of the limit, …"""
FEW_MORE: Final = 1.005
"""… one with less, …"""
MORE: Final = 1.1
"""… and one with less than half of what is too much."""
RELEASE: Final = 10
"""The limit is lifted when it is so many times that of the settings."""

_BODY: Final = error_bytes(
    None,
    RpcError(
        RATE_LIMITED,
        "the gateway is overloaded; try again in 1 s",
        {"scope": "overload", "retryAfterMs": 1000},
    ),
)
_HEADERS: Final = [
    (b"content-length", b"%d" % len(_BODY)),
    (b"content-type", JSON),
    (b"retry-after", b"1"),
]
_RESPONSE: Final = b"".join(
    (
        b"HTTP/1.1 503 Service Unavailable\r\n",
        *(b"%s: %s\r\n" % header for header in _HEADERS),
        b"\r\n",
        _BODY,
    )
)


class Shedder:
    """Decides by the event loop's lag, which `watch` measures, and by how many requests are worked on."""

    def __init__(self, settings: Overload, registry: CollectorRegistry) -> None:
        self._settings = settings
        self._lag = 0.0
        self._limit = math.inf
        """How many requests may be worked on."""
        self.in_flight = 0
        """Requests that are worked on now."""
        self._entering = 0
        """Those that were let in and begin at the event loop's next turn."""
        self._refused = Counter(
            "mcp_gateway_shed_total", "Requests refused because of overload.", registry=registry
        )
        lag = Gauge(
            "mcp_gateway_event_loop_lag_seconds",
            "By how much the event loop is late, smoothed.",
            registry=registry,
        )
        lag.set_function(lambda: self._lag)
        in_flight = Gauge(
            "mcp_gateway_requests_in_flight",
            "Requests on /mcp that are being answered now.",
            registry=registry,
        )
        in_flight.set_function(lambda: self.in_flight)

    def door(self, path: bytes) -> Door:
        """Refuses what can't be kept up with before anything is made for it, task and context included."""

        def refuse(target: bytes) -> bytes | None:
            if self._limit == math.inf or target.partition(b"?")[0] != path:
                return None
            if self.in_flight + self._entering >= self._limit:
                self._refused.inc()
                return _RESPONSE
            if not self._entering:
                asyncio.get_running_loop().call_soon(self._entered)
            self._entering += 1
            return None

        return refuse

    def _entered(self) -> None:
        self._entering = 0

    def around(self, app: App) -> App:
        """`app`, with what it can't keep up with refused: requests that came behind others, for one."""

        async def shielded(scope: Scope, receive: Receive, send: Send) -> None:
            if self.in_flight >= self._limit:
                await self._refuse(send)
                return
            self.in_flight += 1
            try:
                await app(scope, receive, send)
            finally:
                self.in_flight -= 1

        return shielded

    @contextlib.contextmanager
    def idle(self) -> Generator[None]:
        """Within it a request is open, but no work."""
        self.in_flight -= 1
        try:
            yield
        finally:
            self.in_flight += 1

    async def watch(self) -> None:
        """Measure until cancelled."""
        while True:
            began = time.perf_counter()
            await asyncio.sleep(TICK_SECONDS)
            self.observe(time.perf_counter() - began - TICK_SECONDS)

    def observe(self, lag: float) -> None:
        """Take a new measurement of the lag, in seconds, into account."""
        self._lag += SMOOTHING * (max(lag, 0.0) - self._lag)
        late, most = self._lag / self._settings.max_lag_seconds, self._settings.in_flight
        if late > 1:
            self._limit = most if self._limit > most else max(LEAST * most, FEWER * self._limit)
        elif self._limit < math.inf:
            self._limit *= MORE if late < 0.5 else FEW_MORE  # noqa: PLR2004 - a half
            if self._limit > RELEASE * most:
                self._limit = math.inf

    async def _refuse(self, send: Send) -> None:
        """Answer 503, with the request unread."""
        self._refused.inc()
        await send({"type": "http.response.start", "status": 503, "headers": _HEADERS})
        await send({"type": "http.response.body", "body": _BODY})
