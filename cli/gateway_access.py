"""How mcpctl gets through the gateway's door: its address, and tokens of the stack's own issuer."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from cli.deployed import Deployed
from cli.docker_stack import DockerStack
from infra import naming
from infra.errors import PlatformError
from services.kit.conventions import MCP_PORT

ALGORITHM: Final = "ES256"
FORWARD_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class GatewayAccess:
    """A gateway that answers at `url` (no path) while the context that made this is open."""

    url: str
    deployed: Deployed | DockerStack

    @classmethod
    @contextmanager
    def of(cls, stack: str) -> Generator[GatewayAccess]:
        """Reach a stack's gateway: Docker's or the embedded cluster's port, or a port-forward to any other.

        Raises:
            PlatformError: no such stack, or its gateway is not reached.
        """
        if docker := DockerStack.of(stack):
            yield cls(docker.url, docker)
            return
        deployed = Deployed.of(stack)
        embedded = deployed.target.cluster
        if embedded is not None and deployed.settings.gateway.expose == "node-port":
            yield cls(embedded.gateway_url, deployed)
        else:
            with _port_forward(deployed) as port:
                yield cls(f"http://127.0.0.1:{port}", deployed)

    def token(self, subject: str, scope: str, *, ttl_seconds: int = 300) -> str:
        """A bearer token of the stack's development issuer.

        Raises:
            PlatformError: the stack has no such issuer, or its key is not in the cluster.
        """
        import jwt  # noqa: PLC0415 - slow to load, and few commands make tokens

        auth = self.deployed.settings.auth
        if not auth.dev_issuer:
            raise PlatformError(
                f"stack {self.deployed.stack}: auth.dev_issuer is false, so mcpctl can't sign tokens for it",
                hint="get a token from one of the issuers in auth.issuers",
            )
        issuer = self.deployed.issuer()
        now = int(time.time())
        claims = {
            "iss": issuer["issuer"],
            "aud": issuer["audience"],
            "sub": subject,
            "iat": now,
            "exp": now + ttl_seconds,
            "scope": scope,
        }
        return jwt.encode(claims, issuer["private.pem"], algorithm=ALGORITHM)


@contextmanager
def _port_forward(deployed: Deployed) -> Generator[int]:
    """A free local port that leads to the gateway's Service."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = deployed.command("port-forward", f"service/{naming.GATEWAY}", f"{port}:{MCP_PORT}")
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        _await_port(process, port, deployed)
        yield port
    finally:
        process.terminate()
        process.communicate()


def _await_port(process: subprocess.Popen[str], port: int, deployed: Deployed) -> None:
    deadline = time.monotonic() + FORWARD_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    reason = process.stderr.read().strip() if process.poll() is not None and process.stderr else "no answer"
    raise PlatformError(
        f"stack {deployed.stack}: the gateway in context {deployed.kubectl.context} is not reached: {reason}",
        hint=f"is the stack up? mcpctl status --stack {deployed.stack}",
    )
