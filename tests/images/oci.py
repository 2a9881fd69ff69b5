"""Run an image as a cluster would: as an arbitrary user, without capabilities, on a read-only root."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.cluster.processes import locked
from infra.cluster.report import silent
from infra.engine.build_buildah import Buildah

RUNC = "runc"
NAMESPACES = ("pid", "ipc", "uts", "mount", "network")
MOUNTS: tuple[dict[str, Any], ...] = (
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
    {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["mode=1777", "size=65536k"]},  # noqa: S108 - the container's own
)


@dataclass(frozen=True)
class Root:
    """A copy of an image's files, and its configuration."""

    path: Path
    config: Mapping[str, Any]


def unpack(buildah: Buildah, ref: str, target: Path) -> Root:
    """Copy an image out of buildah's storage; under the lock, for a build removes all containers."""
    with locked(buildah.settings.lock, silent, "a build"):
        container = buildah.run("from", "--pull-never", ref, what=ref).strip()
        try:
            source = buildah.run("mount", container, what=ref).strip()
            subprocess.run(["cp", "-a", source, str(target)], check=True)
        finally:
            buildah.run("rm", container, what=ref)
    return Root(target, buildah.inspect(ref)["Docker"]["config"])


@dataclass
class Container:
    """One container; `start` may be called again after it stopped, as kubelet does."""

    root: Root
    folder: Path
    uid: int = 23456
    env: dict[str, str] = field(default_factory=dict[str, str])
    args: Sequence[str] = ()
    volumes: dict[str, Path] = field(default_factory=dict[str, Path])
    scratch: Sequence[str] = ()

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "config.json").write_text(json.dumps(self._config()))
        with (self.folder / "log").open("w") as log:
            self._runc(
                "run", "--detach", "--bundle", str(self.folder), self.folder.name, stdout=log, stderr=log
            )

    def exec(self, *command: str, check: bool = True) -> str:
        env = [word for key, value in self.env.items() for word in ("--env", f"{key}={value}")]
        done = self._runc(
            "exec", *env, self.folder.name, *command, check=False, capture_output=True, text=True
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{command}: {done.stdout}{done.stderr}\n{self.log}")
        return done.stdout

    def http(self, port: int, path: str) -> str:
        """What an HTTP GET from inside the container's network answers."""
        code = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=30).read().decode())"
        url = f"http://127.0.0.1:{port}{path}"
        command = ["nsenter", f"--net=/proc/{self.pid}/ns/net", sys.executable, "-c", code, url]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout if done.returncode == 0 else ""

    @property
    def pid(self) -> int:
        return int(self._state()["pid"])

    def kill(self, signal: str) -> None:
        self._runc("kill", self.folder.name, signal)

    def stop(self, *, seconds: float = 60) -> None:
        """End it by the image's stop signal, and fail if it does not go."""
        self.kill(self.root.config.get("StopSignal") or "SIGTERM")
        self.wait(seconds)

    def wait(self, seconds: float = 60) -> None:
        until(lambda: self._state()["status"] == "stopped", seconds, lambda: f"still running: {self.log}")
        self._runc("delete", self.folder.name)

    def remove(self) -> None:
        self._runc("delete", "--force", self.folder.name, check=False, capture_output=True)

    def _state(self) -> dict[str, Any]:
        return json.loads(self._runc("state", self.folder.name, capture_output=True, text=True).stdout)

    def _runc(self, *arguments: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
        command = [RUNC, "--root", str(self.folder.parent / "runc"), *arguments]
        return subprocess.run(command, check=check, **options)

    def _config(self) -> dict[str, Any]:
        image = self.root.config
        args = [*(image.get("Entrypoint") or []), *(self.args or image.get("Cmd") or [])]
        env = [*(image.get("Env") or []), *(f"{key}={value}" for key, value in self.env.items())]
        volumes = [
            {"destination": target, "type": "bind", "source": str(source), "options": ["rbind", "rw"]}
            for target, source in self.volumes.items()
        ]
        scratch = [
            {"destination": target, "type": "tmpfs", "source": "tmpfs", "options": ["mode=1777"]}
            for target in self.scratch
        ]
        return {
            "ociVersion": "1.0.2",
            "process": {
                "user": {"uid": self.uid, "gid": self.uid},
                "args": args,
                "env": env,
                "cwd": image.get("WorkingDir") or "/",
                "noNewPrivileges": True,
            },
            "root": {"path": str(self.root.path), "readonly": True},
            "mounts": [*MOUNTS, *volumes, *scratch],
            "linux": {"namespaces": [{"type": name} for name in NAMESPACES]},
        }


def volume(path: Path, gid: int = 23456) -> Path:
    """A folder as kubelet hands it over with `fsGroup`: root's, writable by the group."""
    path.mkdir()
    shutil.chown(path, 0, gid)
    path.chmod(0o2770)
    return path


def until(condition: Callable[[], object], seconds: float, otherwise: Callable[[], str]) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(otherwise())
        time.sleep(0.1)
