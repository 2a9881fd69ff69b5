"""What is measured: our gateway, what stands behind it, and what it is compared to."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bench.gateway.messages import ECHOED, Message, call, tools_list
from bench.gateway.processes import Process, accepts, answers, free_port
from bench.gateway.stage import Stage

APPS = Path(__file__).parent / "apps"
ISSUER = "https://issuer.bench"
AUDIENCE = "https://gateway.bench/mcp"
TOKEN_SECONDS = 7200
BARE = "bare ASGI app"
SERVER = "MCP server, called directly"
SLOW = "slow app"
MANY_TOOLS = 1000
LAST_TOOL = f"echo-{MANY_TOOLS - 1}"
"""Of the bare app with so many; the gateway puts a prefix before it."""
LAST_TOOL_QUERY = f"return text unchanged, tool {MANY_TOOLS - 1}"
"""What finds it first; the other words are those of all tools."""
CONNECTIONS_PER_SERVER = 64


@dataclass(frozen=True, slots=True)
class Target:
    """An address to call, and the process whose use of the machine counts.

    Attributes:
        name: As in tables.
        process: What CPU time and memory are read from.
        url: Where calls are sent.
        message: One call of an echo tool.
        token: Bearer token; empty for none.
        note: What a reader must know to compare it.
    """

    name: str
    process: Process
    url: str
    message: Message
    token: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Gateway:
    """Our gateway; servers behind it are reached by a prefix."""

    process: Process
    url: str
    token: str
    start_seconds: float
    start_cpu_seconds: float

    def target(self, server: str, name: str, note: str = "") -> Target:
        """Calls of one of its servers."""
        return Target(name, self.process, self.url, call(f"{server}__echo"), self.token, note)

    def cached(self, server: str, name: str) -> Target:
        """One and the same call of a server whose results are kept."""
        return Target(name, self.process, self.url, call(f"{server}__echo", ECHOED), self.token)

    def gather(self, last_tool: str, name: str) -> Target:
        """Lists of all its servers' tools, which must hold the one named."""
        return Target(name, self.process, self.url, tools_list(last_tool), self.token)


def bare(stage: Stage, *, tools: int = 1, slow: bool = False) -> Target:
    """The bare ASGI app."""
    port = free_port()
    words = [sys.executable, "-m", "bench.gateway.apps.bare", str(port), str(tools)]
    process = stage.start("bare", [*words, "slow"] if slow else words)
    process.wait_until(lambda: accepts(port))
    return Target(SLOW if slow else BARE, process, f"http://127.0.0.1:{port}/mcp", call("echo"))


def server(stage: Stage) -> Target:
    """The echo server of services/servers, called directly."""
    port, ops_port = free_port(), free_port()
    environment = {"HOST": "127.0.0.1", "PORT": str(port), "OPS_PORT": str(ops_port)}
    process = stage.start("server", [sys.executable, "-m", "services.servers.echo"], environment)
    process.wait_until(lambda: accepts(port))
    return Target(SERVER, process, f"http://127.0.0.1:{port}/mcp", call("echo"))


def gateway(stage: Stage, servers: dict[str, str], settings: dict[str, Any] | None = None) -> Gateway:
    """The gateway, tokens required; further settings switch on what else it does."""
    key = ec.generate_private_key(ec.SECP256R1())
    public_key = stage.folder / "issuer.pem"
    public_key.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    port, ops_port = free_port(), free_port()
    file = stage.folder / f"gateway-{port}.yaml"
    file.write_text(yaml.safe_dump({**_config(port, ops_port, public_key, servers), **(settings or {})}))
    process = stage.start("gateway", [sys.executable, "-m", "services.gateway", "--config", str(file)])
    started = process.wait_until(lambda: answers(f"http://127.0.0.1:{ops_port}/health/ready"))
    return Gateway(process, f"http://127.0.0.1:{port}/mcp", _token(key), started, process.cpu_seconds())


def _config(port: int, ops_port: int, public_key: Path, servers: dict[str, str]) -> dict[str, Any]:
    issuer = {"issuer": ISSUER, "public_key_file": str(public_key)}
    return {
        "listen": {"host": "127.0.0.1", "port": port, "ops_port": ops_port},
        "auth": {"audience": AUDIENCE, "issuers": [issuer]},
        "servers": [{"name": name, "urls": [url]} for name, url in servers.items()],
        "upstream": {"connections_per_server": CONNECTIONS_PER_SERVER},
    }


def _token(key: ec.EllipticCurvePrivateKey) -> str:
    """A token as an issuer of ours would sign it."""
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "bench",
        "iat": now,
        "exp": now + TOKEN_SECONDS,
        "scope": "mcp:read mcp:call",
    }
    return jwt.encode(claims, key, algorithm="ES256")


def revision() -> str:
    """The commit that is measured, with a `+` when files differ from it; empty outside of a checkout."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"],
        cwd=APPS,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()
