"""One deployment of a stack at a time, whichever machine it is started on (a Kubernetes Lease)."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from infra.engine.kubectl import Kubectl, last_line
from infra.errors import PlatformError

NAME: Final = "mcp-platform-deployment"
DURATION: Final = 60
"""Seconds after the last renewal at which a holder counts as dead."""

IMAGES: Final = "mcp-platform.dev/images"
"""The annotation that names what a deployment under way is about to run, for nobody to remove."""

_PROCESS: Final = re.compile(r"mcpctl on (?P<host>.+) \(process (?P<pid>\d+)\)")
_FORMAT: Final = "%Y-%m-%dT%H:%M:%S.%fZ"


@contextmanager
def held(kubectl: Kubectl, namespace: str, images: Sequence[str] = ()) -> Generator[None]:
    """Hold the stack's lease, whose namespace must exist.

    Args:
        kubectl: The cluster.
        namespace: The stack's.
        images: What is to run, which the nodes may have already.

    Raises:
        PlatformError: Another deployment holds it.
    """
    _take(kubectl, namespace, images)
    done = threading.Event()
    renewal = threading.Thread(target=_renew, args=(kubectl, namespace, done), name="lease", daemon=True)
    renewal.start()
    try:
        yield
    finally:
        done.set()
        renewal.join()
        with suppress(PlatformError):  # a lease that can't be given back runs out by itself
            _release(kubectl, namespace)


def _take(kubectl: Kubectl, namespace: str, images: Sequence[str]) -> None:
    present = kubectl.get("lease", namespace, NAME)
    if present and not _dead(present["spec"]):
        raise PlatformError(
            f"another deployment of this stack is under way: {present['spec']['holderIdentity']}, "
            f"since {present['spec']['acquireTime'][:19]} UTC",
            hint=f"wait for it; if its machine is gone, the lease ends {DURATION} s after its last renewal",
        )
    # `create`, and `replace` with a resourceVersion, are atomic: of two that try, one fails.
    version = present["metadata"]["resourceVersion"] if present else None
    command = "replace" if present else "create"
    result = kubectl.run(command, "--filename", "-", stdin=json.dumps(_body(namespace, images, version)))
    if result.code:
        raise PlatformError(f"another deployment of this stack has just begun: {last_line(result.err)}")


def _renew(kubectl: Kubectl, namespace: str, done: threading.Event) -> None:
    """Renew until done. A renewal that fails is tried again in time: the lease lasts three rounds."""
    while not done.wait(DURATION / 3):
        patch = json.dumps({"spec": {"renewTime": _now()}})
        with suppress(PlatformError):
            kubectl.run("patch", "lease", NAME, "--namespace", namespace, "--type=merge", f"--patch={patch}")


def _release(kubectl: Kubectl, namespace: str) -> None:
    present = kubectl.get("lease", namespace, NAME)
    if present and present["spec"].get("holderIdentity") == _holder():
        kubectl.run("delete", "lease", NAME, "--namespace", namespace, "--ignore-not-found", "--wait=false")


def _holder() -> str:
    return f"mcpctl on {socket.gethostname()} (process {os.getpid()})"


def _dead(spec: dict[str, Any]) -> bool:
    """Whether a lease has run out, or its holder was a process of this machine that has ended."""
    renewed = datetime.strptime(spec["renewTime"], _FORMAT).replace(tzinfo=UTC)
    if datetime.now(UTC) - renewed > timedelta(seconds=spec["leaseDurationSeconds"]):
        return True
    found = _PROCESS.fullmatch(spec["holderIdentity"])
    return bool(found and found["host"] == socket.gethostname() and not _runs(int(found["pid"])))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _now() -> str:
    return datetime.now(UTC).strftime(_FORMAT)


def _body(namespace: str, images: Sequence[str], version: str | None) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": NAME, "namespace": namespace}
    if images:
        metadata["annotations"] = {IMAGES: ",".join(images)}
    if version:
        metadata["resourceVersion"] = version
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": metadata,
        "spec": {
            "holderIdentity": _holder(),
            "leaseDurationSeconds": DURATION,
            "acquireTime": _now(),
            "renewTime": _now(),
        },
    }
