"""The linters themselves: built and installed once for each version that is pinned here, then kept."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from infra.cluster import silent
from infra.cluster.building import install
from infra.cluster.golang import find_go
from infra.cluster.modules import Module
from infra.cluster.processes import locked
from infra.cluster.spec import home

HERE = Path(__file__).parent
KUBE_SCORE = Module("linters", sources=HERE.parent)
LOCK = HERE / "requirements.txt"


def kube_score() -> Path:
    """Built from its Go module: a minute of two processors, once."""
    folder = _folder("kube-score", KUBE_SCORE.directory / "go.sum")
    program = folder / "kube-score"
    with locked(folder.with_suffix(".lock"), silent, "another build of it"):
        if not program.exists():
            install(find_go(home(), silent), KUBE_SCORE, folder, silent, "")
    return program


def checkov() -> Path:
    """Installed from PyPI, in an environment of its own."""
    folder = _folder("checkov", LOCK)
    done = folder / "installed"
    with locked(folder.with_suffix(".lock"), silent, "another installation of it"):
        if not done.exists():
            uv = str(Path(sys.executable).parent / "uv")
            _run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
            python = str(folder / "bin" / "python")
            _run(uv, "pip", "sync", "--quiet", "--python", python, "--require-hashes", str(LOCK))
            done.touch()
    return folder / "bin" / "checkov"


def _folder(name: str, lock: Path) -> Path:
    """Where one version of a linter is kept; earlier versions of it are removed."""
    kept = home() / "tools" / "linters"
    folder = kept / f"{name}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"
    for earlier in kept.glob(f"{name}-*"):
        if earlier.is_dir() and earlier != folder:
            shutil.rmtree(earlier)
    return folder


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
