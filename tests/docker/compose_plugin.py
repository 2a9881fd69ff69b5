"""Docker Compose 2, built from a pinned Go module: Debian 12 has no package of it."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path
from typing import Final

from infra.cluster.golang import find_go
from infra.cluster.processes import locked
from infra.cluster.report import silent
from infra.cluster.spec import home

SOURCES: Final = Path(__file__).parent / "compose"
_PACKAGE: Final = "github.com/docker/compose/v2"
_BUILD_SECONDS: Final = 1800


def compose_plugin() -> Path:
    """The built plugin; the first time takes minutes."""
    version = next(
        line.split()[-2] for line in (SOURCES / "go.mod").read_text().splitlines() if f"\t{_PACKAGE} " in line
    )
    key = hashlib.sha256((SOURCES / "go.sum").read_bytes()).hexdigest()[:16]
    built = home() / "tools" / f"compose-{key}" / "docker-compose"
    built.parent.mkdir(parents=True, exist_ok=True)
    with locked(built.parent / "lock", silent, "another build of Docker Compose"):
        if not built.exists():
            flags = f"-s -w -X {_PACKAGE}/internal.Version={version}"
            command = [str(find_go(home(), silent)), "build", "-trimpath", "-ldflags", flags]
            done = subprocess.run(
                [*command, "-o", str(built.with_suffix(".new")), f"{_PACKAGE}/cmd"],
                cwd=SOURCES,
                env={**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": ""},
                capture_output=True,
                text=True,
                check=False,
                timeout=_BUILD_SECONDS,
            )
            assert done.returncode == 0, done.stderr[-2000:]
            built.with_suffix(".new").rename(built)
    return built
