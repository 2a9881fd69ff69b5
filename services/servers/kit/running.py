"""From the environment to a running server: `python -m services.servers.<name>`."""

import logging
import sys
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from typing import Final, TypeVar

from mcp.server.transport_security import TransportSecuritySettings

from services.kit.asgi import App
from services.kit.conventions import MCP_PATH
from services.kit.health import Health
from services.kit.logs import configure_logging
from services.kit.metrics import lost_spans
from services.kit.ops import ops_app
from services.kit.serving import ServeError, serve
from services.kit.settings import SettingsError, load
from services.servers.kit.hosts import guard
from services.servers.kit.requests import post_only, with_request_id
from services.servers.kit.server import ToolServer
from services.servers.kit.settings import ServerSettings

SettingsT = TypeVar("SettingsT", bound=ServerSettings)

DEFAULT_BODY_BYTES: Final = 4 * 1024 * 1024

_GUARDED: Final = TransportSecuritySettings(enable_dns_rebinding_protection=False)
"""The SDK's check is off because `guard` does more."""

CANT_START: Final = 2
"""Exit status for settings that can't be used and addresses that can't be listened on."""


def run(
    settings_class: type[SettingsT],
    build: Callable[[SettingsT, Health], ToolServer],
    *,
    body_bytes: Callable[[SettingsT], int] = lambda _: DEFAULT_BODY_BYTES,
) -> None:
    """Build the server that `build` describes and serve it until SIGTERM; then exit with status 0.

    Args:
        settings_class: read from the environment.
        build: makes the server; it may add readiness checks to the health.
        body_bytes: the largest request body to accept; larger ones are answered with 413.
    """
    try:
        settings = load(settings_class)
        health = Health()
        with closing(build(settings, health)) as server:
            configure_logging(server.name, settings.log_level)
            # It says two lines about every 2025-11-25 request, though there is no session to speak of.
            logging.getLogger("mcp.server.streamable_http").setLevel(logging.WARNING)
            app = asgi_app(server, settings, body_bytes(settings))
            ops = ops_app(server.name, health, server.registry)
            with tracing(server, settings):
                serve(app, ops, health=health, settings=settings)
    except (SettingsError, ServeError) as error:
        print(f"can't start: {error}", file=sys.stderr)
        sys.exit(CANT_START)


@contextmanager
def tracing(server: ToolServer, settings: ServerSettings) -> Generator[None]:
    """Record the spans that the SDK makes, where the settings say so."""
    if settings.tracing_endpoint is None:
        yield
        return
    # Only where tracing is on: its libraries would make every start slower.
    from opentelemetry.trace import set_tracer_provider  # noqa: PLC0415 - as above

    from services.kit.traces import Tracing  # noqa: PLC0415 - as above

    lost = lost_spans(server.registry)
    traces = Tracing(server.name, settings.tracing_endpoint, settings.tracing_sample_ratio, lost)
    set_tracer_provider(traces.provider)
    try:
        yield
    finally:
        traces.close()


def asgi_app(server: ToolServer, settings: ServerSettings, body_bytes: int = DEFAULT_BODY_BYTES) -> App:
    """The server on `/mcp`, answering JSON, without sessions: any replica answers any request."""
    mcp = server.streamable_http_app(
        streamable_http_path=MCP_PATH,
        stateless_http=True,
        json_response=True,
        max_request_body_size=body_bytes,
        transport_security=_GUARDED,
    )

    names = frozenset({server.name, *(name.lower() for name in settings.allowed_hosts)})
    return with_request_id(guard(post_only(mcp), names=names, origins=frozenset(settings.allowed_origins)))
