"""What mcpctl's commands do for a stack on a Docker engine, where they differ from one on Kubernetes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from cli.console import err, out, step
from cli.stack_views import print_services
from infra import naming
from infra.engine import project
from infra.engine.compose import deploy
from infra.engine.compose import health as containers
from infra.engine.compose.client import Compose
from infra.engine.compose.deploy import Options
from infra.engine.compose.document import document
from infra.engine.compose.state import COMPOSE_FILE, State, render
from infra.engine.direct import TIMEOUT
from infra.engine.health import Check, Service
from infra.engine.plan import Plan
from infra.engine.record import REPOSITORY, record
from infra.engine.violation import Violation
from infra.errors import PlatformError
from infra.settings import Settings, parse
from infra.settings.docker_engine import Docker
from services.kit.conventions import MCP_PATH


@dataclass(frozen=True, slots=True)
class DockerStack:
    """A stack whose settings put it on a Docker engine."""

    stack: str
    settings: Settings
    engine: Docker

    @classmethod
    def of(cls, stack: str) -> DockerStack | None:
        """The stack of this name, or None where it runs on Kubernetes; nothing is contacted.

        Raises:
            PlatformError: There is no such stack, or its settings are wrong.
        """
        settings = parse(stack, project.load(REPOSITORY, stack).config)
        engine = settings.cluster.docker
        return None if engine is None else cls(stack, settings, engine)

    @property
    def url(self) -> str:
        """The gateway's address, without a path."""
        return f"http://127.0.0.1:{self.engine.port}"

    @property
    def endpoint(self) -> str:
        """What MCP clients are given."""
        return f"{self.url}{MCP_PATH}"

    def preview(self, *, offline: bool) -> tuple[Plan, list[Violation]]:
        """What `up` would do, and what the policies say."""
        return deploy.preview(self._options(), step, offline=offline)

    def up(self, timeout: float) -> Plan:
        """Deploy, and wait until everything is healthy."""
        return deploy.up(self._options(timeout=timeout), step)

    def down(self, *, allow_data_loss: bool) -> None:
        """Remove what `up` made."""
        deploy.down(self._options(allow_data_loss=allow_data_loss), step)

    def render(self, folder: Path) -> None:
        """Write a Compose file and what it mounts, and say what is missing there."""
        with step("evaluate the program"):
            graph = record(self.stack)
        missing = render(document(graph, self._name), folder)
        out.print(f"{folder / COMPOSE_FILE}")
        err.print("not in there, to be provided by you:")
        for line in missing:
            err.print(f"  {line}", markup=False)

    def print_status(self, *, as_json: bool) -> bool:
        """Show the services and the gateway's address; whether all are ready."""
        found = self.status()
        ready = bool(found) and all(item.ready >= item.wanted for item in found)
        if as_json:
            services = [asdict(item) for item in found]
            typer.echo(json.dumps({"services": services, "ready": ready, "url": self.endpoint}, indent=2))
        else:
            print_services(out, found, self.endpoint)
        return ready

    def status(self) -> list[Service]:
        """Its services."""
        return deploy.status(self._options())

    def checks(self) -> Iterator[Check]:
        """What `verify` asks the engine."""
        return containers.checks(self._compose(), self.status())

    def logs(self, service: str, *, follow: bool, tail: int, previous: bool) -> None:
        """Let Compose show a service's logs.

        Raises:
            PlatformError: There is no such service, or Compose failed.
        """
        if previous:
            raise PlatformError("--previous: Docker keeps no logs of containers that were replaced")
        names = [item.name for item in self.status()]
        if service not in names:
            raise PlatformError(
                f"stack {self.stack} has no service {service!r}",
                hint=f"it has: {', '.join(names) or 'none'}",
            )
        lines = "all" if tail < 0 else str(tail)
        arguments = ["logs", "--tail", lines, *["--follow"] * follow, service]
        # Straight to the terminal: following has no end, and nothing is to be read from it.
        code = subprocess.run(self._compose().line(*arguments), check=False).returncode
        if code:
            raise PlatformError(f"docker compose logs ended with {code}; its message is above")

    def issuer(self) -> dict[str, str]:
        """The key that signs the stack's own tokens: private.pem, issuer, audience.

        Raises:
            PlatformError: It was not made yet.
        """
        for urn, value in (State.of(self.stack).values() or {}).items():
            if urn.endswith(f"::{naming.TOKEN_ISSUER}"):
                return {
                    "private.pem": value["privateKeyPem"],
                    "issuer": naming.dev_issuer(self.stack),
                    "audience": self.settings.auth.audience,
                }
        raise PlatformError(
            f"stack {self.stack}: its signing key was not made on this machine",
            hint=f"mcpctl up --stack {self.stack} makes it",
        )

    @property
    def _name(self) -> str:
        return naming.namespace(self.stack)

    def _compose(self) -> Compose:
        return Compose.find(self._name)

    def _options(self, *, timeout: float = TIMEOUT, allow_data_loss: bool = False) -> Options:
        return Options(stack=self.stack, name=self._name, timeout=timeout, allow_data_loss=allow_data_loss)
