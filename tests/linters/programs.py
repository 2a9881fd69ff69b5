"""The linters themselves: built and installed once for each version that is pinned here, then kept."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from infra.cluster import silent
from infra.cluster.modules import Module
from infra.cluster.processes import locked
from infra.cluster.spec import home
from tests.go_programs import built

HERE = Path(__file__).parent
KUBE_SCORE = Module("linters", sources=HERE.parent)
LOCK = HERE / "requirements.txt"


def kube_score() -> Path:
    """Built from its Go module: a minute of two processors, once."""
    return built(KUBE_SCORE, "kube-score")


def checkov() -> Path:
    """Installed from PyPI, in an environment of its own; earlier versions are removed."""
    kept = home() / "tools" / "linters"
    folder = kept / f"checkov-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]}"
    done = folder / "installed"
    with locked(kept / "checkov.lock", silent, "another installation of it"):
        if not done.exists():
            for earlier in kept.glob("checkov-*/"):
                shutil.rmtree(earlier)
            uv = str(Path(sys.executable).parent / "uv")
            _run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
            python = str(folder / "bin" / "python")
            _run(uv, "pip", "sync", "--quiet", "--python", python, "--require-hashes", str(LOCK))
            done.touch()
    return folder / "bin" / "checkov"


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
