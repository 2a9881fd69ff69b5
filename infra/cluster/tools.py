"""The programs of the embedded Kubernetes, built from upstream's pinned Go modules."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.cluster.golang import SOURCES, find_go
from infra.cluster.processes import locked
from infra.cluster.report import Report, last_lines, silent
from infra.cluster.spec import home as default_home
from infra.errors import PlatformError

KUBERNETES_VERSION = "v1.36.3"
CONTAINERD_VERSION = "v2.4.2"
ETCD = "server"  # Go names a program after its package

REPORT_SECONDS = 3.0
GO_PROXY_HINT = "check that the Go module proxy is reached (`go env GOPROXY`)"
MINIMUM_FREE_BYTES = 8 * 2**30  # modules 1.5 GB, build cache 4 GB, programs 0.8 GB


@dataclass(frozen=True)
class Module:
    """One Go module below tools/ and what it must be built with."""

    name: str
    link_flags: str = ""
    packages: str = "tool"

    @property
    def directory(self) -> Path:
        """Where its go.mod is."""
        return SOURCES / self.name

    @property
    def flags(self) -> list[str]:
        """What `go install` gets; others would miss Go's build cache."""
        return ["-trimpath", "-ldflags", f"-s -w {self.link_flags}".strip()]


_VERSION = "k8s.io/component-base/version"
_MAJOR, _MINOR, _PATCH = KUBERNETES_VERSION.removeprefix("v").split(".")

MODULES = (
    Module("etcd"),
    Module("containerd", f"-X github.com/containerd/containerd/v2/version.Version={CONTAINERD_VERSION}"),
    Module("pause", packages="."),
    Module(
        "kubernetes",
        f"-X {_VERSION}.gitVersion={KUBERNETES_VERSION} -X {_VERSION}.gitMajor={_MAJOR}"
        f" -X {_VERSION}.gitMinor={_MINOR} -X k8s.io/client-go/pkg/version.gitVersion={KUBERNETES_VERSION}",
    ),
)


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
                _install(go, module, self.directory, report, f"[{number}/{len(missing)}]")
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


def _install(go: Path, module: Module, target: Path, report: Report, position: str) -> None:
    """`go install` one module's programs into `target`, telling how far it is."""
    environment = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOBIN": str(target),
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "",
    }
    what = f"building {module.name} {position}"
    report(f"{what}: fetching sources")
    programs, libraries = _stale_packages(go, module, environment)
    progress = Progress(what, libraries, len(programs), report)
    command = [str(go), "install", "-v", *module.flags, module.packages]
    popen = subprocess.Popen(
        command, cwd=module.directory, env=environment, stderr=subprocess.PIPE, text=True, bufsize=1
    )
    output: list[str] = []
    with _ended(popen) as process:
        for line in process.stderr or ():
            output.append(line)
            progress.compiled(line.strip())
        code = process.wait()
    if code != 0:
        lines = "".join(output)
        raise PlatformError(
            f"{module.directory} could not be built (go exited with {code}):\n{last_lines(lines, 8)}",
            hint=f"{GO_PROXY_HINT}, and that the disk has space; a second try goes on from here",
        )


class Progress:
    """Tells how many packages are compiled, now and then: CI logs get a line for each report."""

    def __init__(self, what: str, libraries: set[str], programs: int, report: Report) -> None:
        self.what = what
        self.libraries = libraries
        self.total = len(libraries)
        self.programs = programs
        self.report = report
        self.reported = 0.0
        self._tell()

    def compiled(self, package: str) -> None:
        """Count a package that `go install -v` names."""
        if package not in self.libraries:
            return
        self.libraries.remove(package)
        if not self.libraries or time.monotonic() - self.reported > REPORT_SECONDS:
            self._tell(package)

    def _tell(self, package: str = "") -> None:
        self.reported = time.monotonic()
        if self.libraries:
            self.report(
                f"{self.what}: package {self.total - len(self.libraries)} of {self.total} {package}".rstrip()
            )
        else:
            self.report(f"{self.what}: linking, programs: {self.programs}")


def _stale_packages(go: Path, module: Module, environment: dict[str, str]) -> tuple[set[str], set[str]]:
    """The import paths of the programs that `go install` will link, and of the libraries it will compile."""
    template = "{{if .Stale}}{{.Name}} {{.ImportPath}}{{end}}"
    command = [str(go), "list", *module.flags, "-deps", "-f", template, module.packages]
    done = subprocess.run(
        command, cwd=module.directory, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise PlatformError(
            f"the sources of the module {module.directory} could not be had:\n{last_lines(done.stderr, 5)}",
            hint=f"{GO_PROXY_HINT}; a second try goes on from here",
        )
    names = [line.split() for line in done.stdout.splitlines()]
    programs = {path for name, path in names if name == "main"}
    return programs, {path for name, path in names if name != "main"}


@contextmanager
def _ended(process: subprocess.Popen[str]) -> Generator[subprocess.Popen[str]]:
    """Make sure that a child has ended when the block is left, whatever the reason."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()
