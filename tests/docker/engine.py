"""A Docker engine of the tests' own: in network and mount namespaces of its own, with a small world outside.

Nothing of it is seen by other Docker engines of the machine or by what looks for one, and all of it ends with
its first process: processes, networks, and its data, which are in memory. The world is one web server in
another network namespace, behind the engine's only way out.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

WORLD: Final = "203.0.113.1"
OUTSIDE: Final = "203.0.113.2"
"""The engine's machine, as the world sees it."""

_START_SECONDS: Final = 180.0
_MACHINE: Final = f"""
set -e
mkdir -p /run/containerd "$FOLDER/data"
mount -t tmpfs none /run/containerd
mount -t tmpfs -o size=3g none "$FOLDER/data"
ip link set lo up
ip link add eth0 type veth peer name world netns $WORLD_PID
ip address add {OUTSIDE}/24 dev eth0
ip link set eth0 up
ip route add default via {WORLD}
exec unshare --pid --fork --kill-child --mount-proc dockerd --config-file "$FOLDER/daemon.json" \\
    --data-root "$FOLDER/data" --exec-root "$FOLDER/exec" \\
    --pidfile "$FOLDER/pid" --host "unix://$FOLDER/docker.sock"
"""


@dataclass(frozen=True)
class Ended:
    """A command that ran to its end."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Engine:
    """A running engine.

    Attributes:
        pid: Of a process in its network namespace.
        world: Of the web server outside.
        folder: All that is its own.
        environment: What a docker command needs to speak to it.
    """

    pid: int
    world: int
    folder: Path
    environment: dict[str, str]

    def run(self, *command: str, timeout: float = 300, stdin: bytes = b"") -> Ended:
        """Run a command on the engine's machine."""
        return _run(self.pid, command, self.environment, timeout, stdin)

    def must(self, *command: str, timeout: float = 300, stdin: bytes = b"") -> str:
        done = self.run(*command, timeout=timeout, stdin=stdin)
        assert done.code == 0, f"{' '.join(command)}: {done.out}{done.err}"
        return done.out

    def from_world(self, *command: str) -> Ended:
        """Run a command where the web server is."""
        return _run(self.world, command, self.environment, 60, b"")

    def inspect(self, name: str) -> dict[str, Any]:
        return json.loads(self.must("docker", "inspect", name))[0]


def _run(
    pid: int, command: tuple[str, ...], environment: dict[str, str], timeout: float, stdin: bytes
) -> Ended:
    done = subprocess.run(
        ["nsenter", f"--net=/proc/{pid}/ns/net", *command],
        input=stdin,
        capture_output=True,
        env=environment,
        timeout=timeout,
        check=False,
    )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


@contextmanager
def engine(folder: Path, plugin: Path) -> Generator[Engine]:
    """An engine that ends with the block, with Docker Compose as its client's plugin."""
    (folder / "daemon.json").write_text("{}")
    plugins = folder / "client" / "cli-plugins"
    plugins.mkdir(parents=True)
    (folder / "client" / "config.json").write_text("{}")
    (plugins / "docker-compose").symlink_to(plugin)
    environment = {
        **os.environ,
        "DOCKER_HOST": f"unix://{folder}/docker.sock",
        "DOCKER_CONFIG": str(folder / "client"),
        "MCP_PLATFORM_HOME": str(folder / "home"),
    }
    with _world(folder) as world, (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", _MACHINE],
            env={**environment, "FOLDER": str(folder), "WORLD_PID": str(world)},
            stdout=log,
            stderr=log,
        )
        found = Engine(process.pid, world, folder, environment)
        try:
            _await(process, found)
            for command in ("link set lo up", f"address add {WORLD}/24 dev world", "link set world up"):
                done = found.from_world("ip", *command.split())
                assert done.code == 0, done.err
            yield found
        finally:
            process.kill()  # and with it all processes of its namespace
            process.wait()
            shutil.rmtree(folder, ignore_errors=True)


def _await(process: subprocess.Popen[bytes], found: Engine) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if found.run("docker", "version").code == 0:
            return
        time.sleep(0.2)
    raise AssertionError((found.folder / "log").read_text()[-3000:])


@contextmanager
def _world(folder: Path) -> Generator[int]:
    """A web server in a network of its own, in which it is already: others put an interface there."""
    pages, told = folder / "pages", folder / "world.log"
    pages.mkdir()
    server = (sys.executable, "-u", "-m", "http.server", "80", "--directory", str(pages))
    with told.open("wb") as log:
        process = subprocess.Popen(["unshare", "--net", *server], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not told.read_text().startswith("Serving HTTP"):
            assert process.poll() is None, told.read_text()
            assert time.monotonic() < deadline, "the world's web server does not start"
            time.sleep(0.05)
        yield process.pid
    finally:
        process.kill()
        process.wait()
