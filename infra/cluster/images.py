"""Images that the cluster itself needs, put into containerd without any registry."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

from infra.cluster.configs import PAUSE_IMAGE
from infra.errors import PlatformError

NAMESPACE = "k8s.io"  # where containerd's CRI plugin looks


def ensure_pause(ctr: Path, socket: Path, program: Path) -> None:
    """Import the image that every pod's sandbox is made of, unless it is there."""
    if PAUSE_IMAGE in present(ctr, socket):
        return
    with TemporaryDirectory(prefix="mcp-platform-") as directory:
        archive = Path(directory) / "pause.tar"
        write_archive(archive, PAUSE_IMAGE, {"pause": program.read_bytes()}, ["/pause"])
        load(ctr, socket, archive)


def present(ctr: Path, socket: Path) -> set[str]:
    """The names of all images that the cluster has."""
    return set(_ctr(ctr, socket, "images", "ls", "--quiet").split())


def load(ctr: Path, socket: Path, archive: Path) -> None:
    """Import an OCI or Docker archive."""
    _ctr(ctr, socket, "images", "import", str(archive))


def write_archive(path: Path, name: str, programs: dict[str, bytes], command: list[str]) -> None:
    """Write a Docker image archive of one layer that holds `programs` (name to content), owned by root."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for program, content in programs.items():
            entry = tarfile.TarInfo(program)
            entry.mode, entry.size = 0o755, len(content)
            tar.addfile(entry, io.BytesIO(content))
    config = {
        "architecture": _architecture(),
        "os": "linux",
        "config": {"Entrypoint": command, "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer.getvalue()).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    files = {"config.json": json.dumps(config), "manifest.json": json.dumps(manifest)}
    with tarfile.open(path, "w") as tar:
        for file, data in [
            *((key, text.encode()) for key, text in files.items()),
            ("layer.tar", layer.getvalue()),
        ]:
            entry = tarfile.TarInfo(file)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))


def _architecture() -> str:
    """This machine's architecture as Go and OCI name it."""
    machine = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def _ctr(ctr: Path, socket: Path, *arguments: str) -> str:
    command = [str(ctr), "--address", str(socket), "--namespace", NAMESPACE, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PlatformError(f"containerd refused `ctr {' '.join(arguments)}`: {done.stderr.strip()}")
    return done.stdout
