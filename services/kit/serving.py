"""Runs a service: its app and its operations app in one event loop, until a signal, then drains.

On SIGTERM: readiness turns off, and every response is the last on its connection. Those who haven't heard
yet still get in for a moment; then nobody does, and requests in flight finish. `drain_seconds` after the
signal the process has ended with status 0. Health and metrics answer to the end. SIGINT is for people: nobody
gets in from then on. A second signal ends the process at once.
"""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from typing import Final

import uvicorn
import uvloop

from services.kit.asgi import App
from services.kit.health import Health
from services.kit.http_protocol import CLOSE, BoundedHttpProtocol, Bounds, Door
from services.kit.logs import get_logger
from services.kit.settings import ServiceSettings

KEEP_ALIVE_SECONDS: Final = 75
"""Longer than our clients keep idle connections (gateway: 30 s), so that it is they who close them."""

BACKLOG: Final = 1024

ACCEPT_SECONDS: Final = 3.0
"""How long after SIGTERM new connections are still accepted: balancers take a while to hear of it …"""
ACCEPT_SHARE: Final = 0.25
"""… but no more than this part of the drain time."""


class ServeError(Exception):
    """The service can't listen; the message is one line, meant for the operator."""


def serve(
    app: App,
    ops_app: App,
    *,
    health: Health,
    settings: ServiceSettings,
    on_drain: Callable[[float], None] | None = None,
    on_large_head: Callable[[], None] = lambda: None,
    door: Door | None = None,
) -> None:
    """Serve `app` and `ops_app` until a signal; returns when drained.

    Args:
        app: answers on the service's own port.
        ops_app: answers on the operations port.
        health: what probes are told.
        settings: where to listen, and how long to drain.
        on_drain: is told, with the drain time, when it begins.
        on_large_head: is told of each request on the service's own port whose head is refused (431).
        door: may refuse requests on the service's own port before the app is asked.

    Raises:
        ServeError: an address can't be listened on.
    """
    with contextlib.ExitStack() as stack:
        main_socket = stack.enter_context(_listen(settings.host, settings.port))
        ops_socket = stack.enter_context(_listen(settings.host, settings.ops_port))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(
                _serve(
                    app,
                    ops_app,
                    main_socket=main_socket,
                    ops_socket=ops_socket,
                    health=health,
                    settings=settings,
                    on_drain=on_drain,
                    on_large_head=on_large_head,
                    door=door,
                )
            )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise ServeError(f"can't listen on {host} port {port}: {reason}") from None


async def _serve(
    app: App,
    ops_app: App,
    *,
    main_socket: socket.socket,
    ops_socket: socket.socket,
    health: Health,
    settings: ServiceSettings,
    on_drain: Callable[[float], None] | None,
    on_large_head: Callable[[], None],
    door: Door | None,
) -> None:
    stop = _Stop()
    stop.on_signals()
    drain_seconds = settings.drain_seconds
    bounds = Bounds(
        unread_seconds=settings.unread_seconds,
        max_head_bytes=settings.max_head_bytes,
        max_header_fields=settings.max_header_fields,
        on_large_head=on_large_head,
    )
    main = _Server(app, drain_seconds, bounds, door, lifespan="auto")
    ops = _Server(ops_app, 1, replace(bounds, on_large_head=lambda: None), None, lifespan="off")
    ops_task = asyncio.create_task(ops.serve(sockets=[ops_socket]))
    main_task = asyncio.create_task(main.serve(sockets=[main_socket]))
    try:
        await _first(main.listening, main_task)
        health.started = True
        get_logger().info(
            "listening",
            port=main_socket.getsockname()[1],
            ops_port=ops_socket.getsockname()[1],
            pid=os.getpid(),
        )
        await _first(stop, main_task, ops_task)
        health.draining, health.draining_since = True, time.monotonic()
        get_logger().info("draining", seconds=drain_seconds)
        if on_drain is not None:
            on_drain(drain_seconds)
        main.accepts_late = stop.signal == signal.SIGTERM
        main.send_away()
        main.should_exit = True
        await main_task
    finally:
        ops.should_exit = True
        await ops_task


async def _first(event: asyncio.Event, *tasks: asyncio.Task[None]) -> None:
    """Wait for the event, or for a server that ends by itself; its failure is raised."""
    waiter = asyncio.create_task(event.wait())
    await asyncio.wait([waiter, *tasks], return_when=asyncio.FIRST_COMPLETED)
    waiter.cancel()
    for task in tasks:
        if task.done():
            task.result()


class _Stop(asyncio.Event):
    """Set by the first signal. The second one is the end, at once.

    By `os._exit`, since the default action of a signal is ignored for a container's first process.
    """

    signal = 0

    def on_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._handle, number)

    def _handle(self, number: int) -> None:
        if self.is_set():
            os._exit(128 + number)
        self.signal = number
        self.set()


class _Server(uvicorn.Server):
    """uvicorn's server with an event for "listening", our way to drain, and no signal handlers of its own."""

    accepts_late = False

    def __init__(
        self, app: App, drain_seconds: int, bounds: Bounds, door: Door | None, *, lifespan: str
    ) -> None:
        self._accept_seconds = min(ACCEPT_SECONDS, ACCEPT_SHARE * drain_seconds)
        protocol = partial(BoundedHttpProtocol, bounds=bounds, door=door)
        super().__init__(
            uvicorn.Config(
                app,  # pyright: ignore[reportArgumentType] - uvicorn spells ASGI's shapes with TypedDicts
                http=protocol,  # pyright: ignore[reportArgumentType] - a class, but for one argument
                ws="none",
                lifespan=lifespan,  # pyright: ignore[reportArgumentType] - one of uvicorn's literals
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=drain_seconds - self._accept_seconds,  # pyright: ignore[reportArgumentType] - any number will do
            )
        )
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    def send_away(self) -> None:
        """Make every response the last on its connection: from now on, not from uvicorn's next tick on."""
        self.config.encoded_headers = [*self.config.encoded_headers, CLOSE]
        self.server_state.default_headers = [*self.server_state.default_headers, CLOSE]
        for connection in self.server_state.connections:
            assert isinstance(connection, BoundedHttpProtocol)  # noqa: S101 - tells the type checker
            connection.send_away()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.accepts_late:
            await asyncio.sleep(self._accept_seconds)
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield
