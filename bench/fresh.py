"""How long a machine that has never seen the project takes to a ready stack: `make bench FLAGS=--fresh`.

A clone, with every cache and the platform's home in an empty folder. Not counted are the Debian packages and
the Go that this machine has already: about half a minute.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

from bench.table import Row
from infra.engine.record import REPOSITORY

CLUSTER = "bench-fresh"
NAMED = "embedded: default"
CACHES = ("XDG_CACHE_HOME", "UV_CACHE_DIR", "PIP_CACHE_DIR", "GOPATH", "GOCACHE", "GOMODCACHE")


def fresh_machine() -> Row:
    """Clone, `make up`, and remove it all."""
    with tempfile.TemporaryDirectory(prefix="mcp-fresh-") as name:
        folder = Path(name)
        checkout = folder / "checkout"
        subprocess.run(["git", "clone", "--quiet", REPOSITORY, checkout], check=True)
        stack = checkout / "Pulumi.dev.yaml"
        assert NAMED in stack.read_text()
        stack.write_text(stack.read_text().replace(NAMED, f"embedded: {CLUSTER}"))
        env = {
            **os.environ,
            **{cache: str(folder / cache.lower()) for cache in CACHES},
            "MCP_PLATFORM_HOME": str(folder / "home"),
            "KUBECONFIG": str(folder / "kubeconfig"),
        }
        started = time.perf_counter()
        try:
            subprocess.run(["make", "up"], cwd=checkout, env=env, check=True)
            minutes = (time.perf_counter() - started) / 60
        finally:
            if (mcpctl := checkout / ".venv/bin/mcpctl").exists():
                subprocess.run([mcpctl, "cluster", "down", "--name", CLUSTER, "--purge"], env=env, check=True)
    return Row("fresh machine to ready dev stack", [minutes], "min", "≤ 20, goal 15")
