"""Runs a service: its app and its operations app in one event loop, until a signal, then drains.

On SIGTERM or SIGINT: readiness turns off, no new connection is accepted, requests in flight get
`drain_seconds` to finish, and the process ends with status 0. Health and metrics answer to the end.
A second signal ends it at once.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Generator
from typing import Final

import uvicorn
import uvloop

from services.kit.asgi import App
from services.kit.health import Health
from services.kit.http_protocol import BoundedHttpProtocol
from services.kit.logs import get_logger
from services.kit.settings import ServiceSettings

KEEP_ALIVE_SECONDS: Final = 75
"""Longer than our clients keep idle connections (gateway: 30 s), so that it is they who close them."""

BACKLOG: Final = 1024


class ServeError(Exception):
    """The service can't listen; the message is one line, meant for the operator."""


def serve(app: App, ops_app: App, *, health: Health, settings: ServiceSettings) -> None:
    """Serve `app` and `ops_app` until a signal; returns when drained.

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
                    drain_seconds=settings.drain_seconds,
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
    drain_seconds: int,
) -> None:
    stop = asyncio.Event()
    _on_signals(stop)
    main = _Server(app, drain_seconds, lifespan="auto")
    ops = _Server(ops_app, 1, lifespan="off")
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
        health.draining = True
        get_logger().info("draining", seconds=drain_seconds)
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


def _on_signals(stop: asyncio.Event) -> None:
    """First signal: `stop`. Second: the end, at once.

    By `os._exit`, since the default action of a signal is ignored for a container's first process.
    """

    def handle(number: int) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, handle, number)


class _Server(uvicorn.Server):
    """uvicorn's server with an event for "listening", and without signal handlers (they are ours)."""

    def __init__(self, app: App, drain_seconds: int, *, lifespan: str) -> None:
        super().__init__(
            uvicorn.Config(
                app,  # pyright: ignore[reportArgumentType] - uvicorn spells ASGI's shapes with TypedDicts
                http=BoundedHttpProtocol,
                ws="none",
                lifespan=lifespan,  # pyright: ignore[reportArgumentType] - one of uvicorn's literals
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=drain_seconds,
            )
        )
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield
