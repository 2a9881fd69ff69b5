"""Docker Compose 2, built from a pinned Go module: Debian 12 has no package of it."""

from __future__ import annotations

from pathlib import Path

from infra.cluster.modules import Module
from tests.go_programs import built

_SOURCES = Path(__file__).parent
_PACKAGE = "github.com/docker/compose/v2"


def compose_plugin() -> Path:
    """The built plugin; the first build takes minutes."""
    flags = f"-X {_PACKAGE}/internal.Version={pinned_version()}"
    return built(Module("docker-compose", flags, sources=_SOURCES), "cmd")


def pinned_version() -> str:
    """As in `v2.40.3`. Of a Compose that was built without it, nobody can tell whether it is new enough."""
    pins = (_SOURCES / "docker-compose" / "go.mod").read_text().splitlines()
    return next(line.split()[1] for line in pins if line.startswith(f"\t{_PACKAGE} "))
