"""Everything that the gateway can be set to do at once, with the stores and the collector that it takes.

What is measured with it is what a call costs with every duty: the caller's token and policy, limits in Redis,
an audit record in PostgreSQL, traces (one call in ten), the search of results for secrets, the cache.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from bench.gateway.processes import accepts, free_port
from bench.gateway.stage import Stage
from bench.gateway.stores import DEBIAN_POSTGRES, POSTGRES_USER, postgres, redis
from infra.cluster import Report, packages
from infra.errors import PlatformError

CACHED: Final = "cached"
"""The server whose tools' results are kept."""

_ENOUGH: Final = {"per_second": 100_000, "burst": 100_000}
_ROLE: Final = "gateway"


def everything(stage: Stage, report: Report) -> dict[str, Any]:
    """The part of a gateway's configuration that switches it all on.

    Raises:
        PlatformError: a store is not installed and can't be, or doesn't start.
    """
    _install(report)
    settings: dict[str, Any] = {
        "authorization": {"policy_file": str(_policy(stage))},
        "limits": {"gateway": _ENOUGH, "principal": _ENOUGH, "tools": [{"match": "*", **_ENOUGH}]},
        "redis": _redis(stage),
        "postgres": _postgres(stage),
        "audit": {},
        "tracing": {"endpoint": _collector(stage), "sample_ratio": 0.1},
        "content": {"leaks": "redact"},
        "cache": {"tools": [{"match": f"{CACHED}__*"}]},
    }
    _migrate(stage, settings)
    return settings


def _install(report: Report) -> None:
    packages.ensure({"redis-server": ["redis-server"]}, report, "the gateway's benchmark")
    if not list(DEBIAN_POSTGRES.glob("*/bin/initdb")):
        packages.ensure({"initdb": ["postgresql"]}, report, "the gateway's benchmark")


def _policy(stage: Stage) -> Path:
    """A few rules of each kind, as a real one has; what is called is allowed by the last."""
    deny = [
        {"effect": "deny", "groups": ["*"], "servers": ["*"], "tools": [f"drop_{it}*"]} for it in range(9)
    ]
    group = {"members": [{"subject": "bench"}], "scopes": ["mcp:call"]}
    allow = {"effect": "allow", "groups": ["callers"], "servers": ["*"], "tools": ["*"], "resources": ["*"]}
    file = stage.folder / "policy.yaml"
    file.write_text(yaml.safe_dump({"groups": {"callers": group}, "rules": [*deny, allow]}))
    return file


def _redis(stage: Stage) -> dict[str, Any]:
    url = redis(stage)
    if url is None:
        raise PlatformError("the benchmark needs Redis or Valkey", hint="apt-get install redis-server")
    port = urlsplit(url).port
    # An open loop at the limit of the machine is no reason to take Redis for gone.
    return {"host": "127.0.0.1", "port": port, "wait_seconds": 1}


def _postgres(stage: Stage) -> dict[str, Any]:
    address = postgres(stage)
    if address is None:
        raise PlatformError("the benchmark needs PostgreSQL", hint="apt-get install postgresql")
    port = urlsplit(f"postgres://{address}").port
    password = stage.folder / "role-password"  # the migration makes the role with it
    password.write_text(secrets.token_urlsafe())
    where = {"host": "127.0.0.1", "port": port, "database": "postgres"}
    return {**where, "user": _ROLE, "password_file": str(password)}


def _collector(stage: Stage) -> str:
    """Something that takes traces and throws them away."""
    port = free_port()
    process = stage.start("collector", [sys.executable, "-m", "bench.gateway.apps.collector", str(port)])
    process.wait_until(lambda: accepts(port))
    return f"http://127.0.0.1:{port}"


def _migrate(stage: Stage, settings: dict[str, Any]) -> None:
    """Make the gateway's schema and role, as its init container does."""
    owner = stage.folder / "owner"
    owner.mkdir(exist_ok=True)
    (owner / "username").write_text(POSTGRES_USER)
    (owner / "password").write_text("none: connections from this machine are trusted")
    config = stage.folder / "migrate.yaml"
    server = {"name": "any", "urls": ["http://127.0.0.1:1/mcp"]}
    needed = {"listen": {"host": "127.0.0.1"}, "auth": "none", "servers": [server]}
    config.write_text(yaml.safe_dump({**needed, "postgres": settings["postgres"]}))
    command = [
        sys.executable,
        "-m",
        "services.gateway.migrate",
        "--config",
        str(config),
        "--owner",
        str(owner),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PlatformError(f"the audit schema could not be made: {json.dumps(done.stderr.strip())}")
