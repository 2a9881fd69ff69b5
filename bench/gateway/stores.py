"""Stores for a comparator: Debian's PostgreSQL and Redis or Valkey where they are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.gateway.processes import accepts, free_port
from bench.gateway.stage import Stage
from infra.errors import PlatformError

DEBIAN_POSTGRES = Path("/usr/lib/postgresql")
POSTGRES_USER = "postgres"  # of Debian's package: PostgreSQL refuses to run as root


def postgres(stage: Stage) -> str | None:
    """Start an empty database that ends with the stage; its address (no password, loopback), None without it.

    Raises:
        PlatformError: it is installed but doesn't start.
    """
    programs = max(DEBIAN_POSTGRES.glob("*/bin"), key=lambda path: int(path.parts[-2]), default=None)
    if programs is None:
        return None
    folder = stage.keep(tempfile.mkdtemp(prefix="bench-postgres-"))
    if os.geteuid() == 0:
        shutil.chown(folder, POSTGRES_USER)
    data, port = folder / "data", free_port()
    made = subprocess.run(
        _unprivileged([str(programs / "initdb"), "-D", str(data), "-U", POSTGRES_USER, "-A", "trust"]),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        raise PlatformError(f"PostgreSQL's initdb failed: {made.stderr.strip()}")
    server = [
        str(programs / "postgres"),
        "-D",
        str(data),
        "-p",
        str(port),
        "-k",
        str(folder),
        "-h",
        "127.0.0.1",
    ]
    process = stage.start("postgres", _unprivileged(server))
    process.wait_until(lambda: accepts(port))
    return f"{POSTGRES_USER}@127.0.0.1:{port}/postgres"


def redis(stage: Stage) -> str | None:
    """Start an empty store in memory that ends with the stage; its URL, None without its program."""
    program = shutil.which("valkey-server") or shutil.which("redis-server")
    if program is None:
        return None
    port = free_port()
    words = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = stage.start("redis", [program, *words])
    process.wait_until(lambda: accepts(port))
    return f"redis://127.0.0.1:{port}/0"


def _unprivileged(command: Sequence[str]) -> list[str]:
    """As PostgreSQL's user where we are root."""
    if os.geteuid() != 0:
        return list(command)
    identity = [f"--reuid={POSTGRES_USER}", f"--regid={POSTGRES_USER}", "--clear-groups"]
    return ["setpriv", *identity, "--", *command]
