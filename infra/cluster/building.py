"""Builds Go modules, telling how far it is."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from infra.cluster.modules import Module
from infra.cluster.report import Report, last_lines
from infra.errors import PlatformError

REPORT_SECONDS = 3.0
GO_PROXY_HINT = "check that the Go module proxy is reached (`go env GOPROXY`)"


def install(go: Path, module: Module, target: Path, report: Report, position: str) -> None:
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
