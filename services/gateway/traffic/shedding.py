"""Sheds load: refuses requests while the process can't keep up with those that it has.

Measured is the lag of the event loop, the time by which a timer fires late: it grows when, and only when,
there is more work than the process can do, however slow the servers behind it are. While it is too large,
only so many requests are worked on at once; a refusal of the others must cost next to nothing, so it happens
before anything of them is looked at.
"""

import asyncio
import contextlib
import time
from collections.abc import Generator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.gateway.config import Overload
from services.gateway.errors import RATE_LIMITED, RpcError
from services.gateway.messages import error_bytes
from services.kit.asgi import JSON, App, Receive, Scope, Send

TICK_SECONDS: Final = 0.02
SMOOTHING: Final = 0.2
"""Weight of the newest lag: a single long pause, such as a garbage collection, refuses nobody."""

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


class Shedder:
    """Decides by the event loop's lag, which `watch` measures, and by how many requests are worked on."""

    def __init__(self, settings: Overload, registry: CollectorRegistry) -> None:
        self._settings = settings
        self._lag = 0.0
        self.in_flight = 0
        """Requests that are worked on now."""
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

    def around(self, app: App) -> App:
        """`app`, with what it can't keep up with refused."""

        async def shielded(scope: Scope, receive: Receive, send: Send) -> None:
            if self._lag > self._settings.max_lag_seconds and self.in_flight >= self._settings.in_flight:
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

    async def _refuse(self, send: Send) -> None:
        """Answer 503, with the request unread."""
        self._refused.inc()
        await send({"type": "http.response.start", "status": 503, "headers": _HEADERS})
        await send({"type": "http.response.body", "body": _BODY})
