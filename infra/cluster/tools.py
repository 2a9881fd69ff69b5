"""The programs of the embedded Kubernetes, built once for each version of their sources."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from infra.cluster.building import install
from infra.cluster.golang import find_go
from infra.cluster.modules import MODULES, Module
from infra.cluster.processes import locked
from infra.cluster.report import Report, silent
from infra.cluster.spec import home as default_home
from infra.errors import PlatformError

MINIMUM_FREE_BYTES = 8 * 2**30  # modules 1.5 GB, build cache 4 GB, programs 0.8 GB


def tools_key() -> str:
    """Sixteen hexadecimal digits that change whenever the programs would.

    The Go version is left out on purpose: a newer Go on PATH must not cost the user a build of ten minutes,
    nor must Go be installed to find out that there is nothing to build. What they were built with is in
    `built-with`.
    """
    digest = hashlib.sha256()
    for module in MODULES:
        for source in sorted(module.directory.glob("*")):
            digest.update(f"{module.name}/{source.name}\0".encode())
            digest.update(hashlib.sha256(source.read_bytes()).digest())
        digest.update(repr((module.flags, module.packages)).encode())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Toolbox:
    """The built programs of one home."""

    home: Path

    @property
    def root(self) -> Path:
        """The directory of the programs that this version of the sources makes."""
        return self.home / "tools" / tools_key()

    @property
    def directory(self) -> Path:
        """Where the programs are."""
        return self.root / "bin"

    def stamp(self, module: Module) -> Path:
        """A file that is there once a module's programs are."""
        return self.root / f"{module.name}.built"

    @property
    def missing(self) -> list[Module]:
        """The modules still to be built."""
        return [module for module in MODULES if not self.stamp(module).exists()]

    def build(self, report: Report) -> None:
        """Build what is missing; a build that was cut short continues where it stopped."""
        if not self.missing:
            return
        self.root.mkdir(parents=True, exist_ok=True)
        with locked(self.home / "tools" / "build.lock", report, "another build of the tools"):
            missing = self.missing  # the other build may have made them
            if not missing:
                return
            go = find_go(self.home, report)
            for number, module in enumerate(missing, 1):
                install(go, module, self.directory, report, f"[{number}/{len(missing)}]")
                self.stamp(module).touch()

    def path(self, name: str) -> Path:
        """The path of a built program."""
        found = self.directory / name
        if not found.exists():
            raise PlatformError(f"{name} has not been built", hint="`mcpctl cluster up` builds it")
        return found


def tool(name: str, report: Report = silent, *, home: Path | None = None) -> Path:
    """The path of one of the cluster's programs (kubectl, helm, ctr, …), built first when it is missing."""
    box = Toolbox(home or default_home())
    box.build(report)
    return box.path(name)


def client_tool(name: str, report: Report = silent, *, home: Path | None = None) -> Path:
    """The user's own kubectl or helm where PATH has it, else a built one: for clusters that are not ours."""
    found = shutil.which(name)
    return Path(found) if found else tool(name, report, home=home)
