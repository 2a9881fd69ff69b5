"""Comparators' Python environments: each in a folder of its own, never in ours."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from infra.cluster import Report
from infra.cluster.report import last_lines
from infra.cluster.spec import home
from infra.errors import PlatformError


@dataclass(frozen=True, slots=True)
class Environment:
    """What is installed from PyPI, and the Python minor versions that it supports, best first."""

    name: str
    packages: tuple[str, ...]
    pythons: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Where it is."""
        return home() / "bench" / self.name

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    def install(self, report: Report) -> None:
        """Make it unless it is there with these very packages.

        Raises:
            PlatformError: no Python that suits, or the packages can't be installed.
        """
        wanted = "\n".join(self.packages)
        installed = self.folder / "packages.txt"
        if installed.is_file() and installed.read_text() == wanted:
            return
        report(f"installing {self.packages[0]} into {self.folder}")
        uv = str(Path(sys.executable).parent / "uv")
        _run([uv, "venv", "--quiet", "--clear", "--python", str(self._interpreter()), str(self.folder)])
        _run([uv, "pip", "install", "--quiet", "--python", str(self.python), *self.packages])
        installed.write_text(wanted)

    def _interpreter(self) -> Path:
        for version in self.pythons:
            for candidate in _interpreters(version):
                if _runs(candidate, version):
                    return candidate
        versions = " or ".join(self.pythons)
        raise PlatformError(
            f"{self.packages[0]} needs Python {versions}, which is not here",
            hint=f"put python{self.pythons[0]} on PATH, or leave {self.name} out of --with",
        )


def _interpreters(version: str) -> list[Path]:
    """Where a Python of a minor version may be: ours, on PATH, pyenv's."""
    found = shutil.which(f"python{version}")
    pyenv = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    return [Path(sys.executable), *([Path(found)] if found else []), *pyenv]


def _runs(python: Path, version: str) -> bool:
    """Whether it is that version; pyenv's stand-ins on PATH may not run at all."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() == version


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PlatformError(f"{' '.join(command[:3])} failed: {last_lines(done.stderr, 5)}")
