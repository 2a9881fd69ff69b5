"""The gateways that ours is compared to, each with the settings that make it fastest.

Both run with one process, like ours, in front of the same server.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from bench.gateway.environments import Environment
from bench.gateway.messages import call
from bench.gateway.processes import accepts, answers, free_port
from bench.gateway.stage import Stage
from bench.gateway.stores import postgres, redis
from bench.gateway.targets import APPS, Target
from infra.cluster import Report
from infra.errors import PlatformError

FASTMCP = Environment("fastmcp", ("fastmcp==4.1.2", "uvloop", "httptools"), ("3.13", "3.12", "3.11"))
CONTEXTFORGE = Environment(
    "contextforge",
    ("mcp-contextforge-gateway==1.1.0", "psycopg[binary]", "uvloop", "httptools"),
    ("3.13", "3.12"),
)
USER = "bench@example.com"


def fastmcp(stage: Stage, server: str, report: Report) -> Target:
    """FastMCP's proxy: JSON answers, no sessions, no authentication."""
    FASTMCP.install(report)
    port = free_port()
    program = [str(FASTMCP.python), str(APPS / "fastmcp_proxy.py"), server, str(port)]
    process = stage.start("fastmcp", program)
    process.wait_until(lambda: accepts(port))
    return Target(
        "FastMCP 4.1.2 proxy",
        process,
        f"http://127.0.0.1:{port}/mcp",
        call("echo"),
        note="no authentication, no access log",
    )


def contextforge(stage: Stage, server: str, report: Report) -> Target:
    """ContextForge: one worker, PostgreSQL and Redis where they are installed, and off what can be off."""
    CONTEXTFORGE.install(report)
    port = free_port()
    stores, note = _contextforge_stores(stage)
    environment = {**_contextforge_settings(), **stores}
    gunicorn = [
        str(CONTEXTFORGE.folder / "bin" / "gunicorn"),
        "-w",
        "1",
        "-k",
        "uvicorn.workers.UvicornWorker",
    ]
    bind = ["-b", f"127.0.0.1:{port}", "--timeout", "600", "mcpgateway.main:app"]
    process = stage.start("contextforge", [*gunicorn, *bind], environment)
    process.wait_until(lambda: answers(f"http://127.0.0.1:{port}/health"))
    base, token = f"http://127.0.0.1:{port}", _contextforge_token(environment)
    server_id, tool = _register(base, token, server)
    return Target(
        "ContextForge 1.1.0",
        process,
        f"{base}/servers/{server_id}/mcp",
        call(tool),
        token,
        note=f"one worker, {note}; UI, plugins, rate limit, telemetry off",
    )


COMPARATORS: dict[str, Callable[[Stage, str, Report], Target]] = {
    "fastmcp": fastmcp,
    "contextforge": contextforge,
}


def _contextforge_stores(stage: Stage) -> tuple[dict[str, str], str]:
    """Settings of its database and cache, and what a table says of them."""
    database, cache = postgres(stage), redis(stage)
    if database and cache:
        settings = {
            "DATABASE_URL": f"postgresql+psycopg://{database}",
            "CACHE_TYPE": "redis",
            "REDIS_URL": cache,
        }
        return settings, "PostgreSQL, Redis"
    settings = {"DATABASE_URL": f"sqlite:///{stage.folder / 'contextforge.db'}", "CACHE_TYPE": "memory"}
    return settings, "SQLite, cache in memory"


def _contextforge_settings() -> dict[str, str]:
    off = (
        "A2A",
        "PLUGINS",
        "RATE_LIMITING",
        "OBSERVABILITY",
        "OTEL_ENABLE_OBSERVABILITY",
        "MCPGATEWAY_UI",
        "MCPGATEWAY_ADMIN_API",
        "MCPGATEWAY_A2A",
        "STRUCTURED_LOGGING_DATABASE",
        "AUDIT_TRAIL",
    )
    return {
        **{name if name.startswith("OTEL") else f"{name}_ENABLED": "false" for name in off},
        "REQUIRE_USER_IN_DB": "false",
        "SSRF_ALLOW_LOCALHOST": "true",
        "SSRF_ALLOW_PRIVATE_NETWORKS": "true",
        "LOG_LEVEL": "ERROR",
        "JWT_SECRET_KEY": secrets.token_urlsafe(48),
        "AUTH_ENCRYPTION_SECRET": secrets.token_urlsafe(48),
        "BASIC_AUTH_PASSWORD": f"{secrets.token_urlsafe(24)}1!a",
        "PLATFORM_ADMIN_EMAIL": USER,
        "PLATFORM_ADMIN_PASSWORD": f"{secrets.token_urlsafe(24)}1!a",
        "DEFAULT_USER_PASSWORD": f"{secrets.token_urlsafe(24)}1!a",
    }


def _contextforge_token(environment: dict[str, str]) -> str:
    command = [
        str(CONTEXTFORGE.python),
        "-m",
        "mcpgateway.utils.create_jwt_token",
        "--username",
        USER,
        "--admin",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    lines = done.stdout.split()
    if done.returncode != 0 or not lines:
        raise PlatformError(f"ContextForge made no token: {done.stderr.strip()[-500:]}")
    return lines[-1]


def _register(base: str, token: str, server: str) -> tuple[str, str]:
    """Put the server behind ContextForge; the virtual server's id and the tool's name there."""
    gateway = {"name": "echo", "url": server, "transport": "STREAMABLEHTTP"}
    _post(f"{base}/gateways", token, gateway)
    tools = _get(f"{base}/tools", token)
    tool = next(it for it in tools if it["originalName"] == "echo")
    made = _post(f"{base}/servers", token, {"server": {"name": "bench", "associated_tools": [tool["id"]]}})
    return str(made["id"]), str(tool["name"])


def _post(url: str, token: str, body: dict[str, Any]) -> Any:  # noqa: ANN401 - any JSON
    return _ask(urllib.request.Request(url, json.dumps(body).encode()), token)  # noqa: S310 - our own URL


def _get(url: str, token: str) -> Any:  # noqa: ANN401 - any JSON
    return _ask(urllib.request.Request(url), token)  # noqa: S310 - our own URL


def _ask(request: urllib.request.Request, token: str) -> Any:  # noqa: ANN401 - any JSON
    request.add_header("Authorization", f"Bearer {token}")
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - our own URL
            return json.load(response)
    except urllib.error.HTTPError as error:
        said = error.read()[:500].decode(errors="replace")
        raise PlatformError(f"ContextForge answered {request.full_url} with {error.code}: {said}") from None
