"""Docker and Docker Compose as programs: found, run, and their failures as errors."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from infra.cluster.report import last_lines
from infra.engine.build_docker import engine_answers
from infra.engine.process import Result, run
from infra.errors import PlatformError

PROJECT_LABEL: Final = "com.docker.compose.project"
SERVICE_LABEL: Final = "com.docker.compose.service"
HASH_LABEL: Final = "com.docker.compose.config-hash"

LEAST_VERSION: Final = (2, 20)
"""Of Docker Compose: the first whose `up --wait` waits for named services only."""

_INSTALL: Final = (
    "install Docker Compose 2 (https://docs.docker.com/compose/install); version 1 is another program"
)
_SECONDS: Final = 60.0
_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Compose:
    """One project of Docker Compose.

    Attributes:
        command: The program, and what it needs before its own commands.
        project: The project's name.
    """

    command: tuple[str, ...]
    project: str

    @classmethod
    def find(cls, project: str) -> Compose:
        """The plugin of the `docker` command, or `docker-compose` where that is version 2.

        Raises:
            PlatformError: There is no Docker engine, or no Compose that is new enough.
        """
        require_engine()
        found: list[str] = []
        for command in (("docker", "compose"), ("docker-compose",)):
            if (version := _version(command)) is None:
                continue
            if version >= LEAST_VERSION:
                return cls(command, project)
            found.append(f"{' '.join(command)} {version[0]}.{version[1]}")
        least = ".".join(map(str, LEAST_VERSION))
        what = f"{', '.join(found)} is older than {least}" if found else "there is no Docker Compose"
        raise PlatformError(f"a stack on Docker needs Docker Compose {least} or newer: {what}", hint=_INSTALL)

    def line(self, *arguments: str) -> list[str]:
        """A command on this project, for a caller that runs it by itself."""
        return [*self.command, "--project-name", self.project, *arguments]

    def run(self, *arguments: str, stdin: str = "", timeout: float = _SECONDS) -> Result:
        """Run a command on this project to its end, however it ends."""
        return run(self.line(*arguments), stdin=stdin, timeout=timeout)

    def must(self, *arguments: str, stdin: str = "", timeout: float = _SECONDS) -> str:
        """Run a command on this project and return what it prints.

        Raises:
            PlatformError: It failed.
        """
        result = self.run(*arguments, stdin=stdin, timeout=timeout)
        if result.code:
            raise PlatformError(f"docker compose {arguments[0]} failed: {last_lines(result.err, 5)}")
        return result.out

    def containers(self) -> list[Mapping[str, Any]]:
        """What Docker knows of the project's containers, running or not."""
        ids = docker("ps", "--all", "--quiet", "--no-trunc", "--filter", self._own).split()
        return json.loads(docker("inspect", *ids)) if ids else []

    def names(self, kind: str) -> list[str]:
        """Names of the project's networks or volumes."""
        return sorted(docker(kind, "ls", "--filter", self._own, "--format", "{{.Name}}").split())

    def remove_volumes(self) -> None:
        """Remove all volumes of the project, also those that its file doesn't name any more."""
        if names := self.names("volume"):
            docker("volume", "rm", *names)

    @property
    def _own(self) -> str:
        return f"label={PROJECT_LABEL}={self.project}"


def require_engine() -> None:
    """Refuse a machine without a Docker engine that answers.

    Raises:
        PlatformError: There is none.
    """
    if shutil.which("docker") is None:
        raise PlatformError(
            "there is no docker command, which a stack on Docker needs",
            hint="install Docker (https://docs.docker.com/engine/install; Debian: docker.io)",
        )
    if not engine_answers():
        raise PlatformError(
            "no Docker engine answers", hint="start one, and check DOCKER_HOST and `docker context show`"
        )


def docker(*arguments: str) -> str:
    """Run a docker command and return what it prints.

    Raises:
        PlatformError: It failed.
    """
    result = run(["docker", *arguments], timeout=_SECONDS)
    if result.code:
        raise PlatformError(f"docker {arguments[0]} failed: {last_lines(result.err, 3)}")
    return result.out


def _version(command: tuple[str, ...]) -> tuple[int, int] | None:
    if shutil.which(command[0]) is None:
        return None
    result = run([*command, "version", "--short"], timeout=_SECONDS)
    found = _VERSION.match(result.out.strip()) if result.code == 0 else None
    return (int(found[1]), int(found[2])) if found else None


def compose_file(folder: Path) -> list[str]:
    """Options that name the Compose file of a folder."""
    return ["--project-directory", str(folder), "--file", str(folder / "compose.yaml")]
