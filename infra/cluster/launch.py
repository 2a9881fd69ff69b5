"""Starts a cluster's supervisor in namespaces of its own.

`start` runs in the command; it makes a process that first takes the cluster's lock and notes down who it is,
and only then becomes `unshare`, keeping number, start time and lock. There is no moment at which a cluster
runs and its directory doesn't tell by which process.

    python -m infra.cluster.launch DIRECTORY TOOLS API_SOCKET GATEWAY_SOCKET [--no-fsync]
"""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import infra
from infra.cluster.processes import Identity, children
from infra.cluster.report import log_tail
from infra.cluster.spec import Layout
from infra.errors import PlatformError

PROJECT = Path(infra.__file__).parent.parent

LOG = "supervisor"

UNSHARE = (
    "unshare",
    "--net",
    "--mount",
    "--propagation=slave",
    "--pid",
    "--fork",
    "--kill-child=SIGKILL",
    "--mount-proc",
)


def listen(port: int, what: str) -> socket.socket:
    """A listening socket on 127.0.0.1 in the host's network namespace."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        flag = "--api-port" if "API" in what else "--gateway-port"
        raise PlatformError(
            f"port {port} of 127.0.0.1, meant for {what}, can't be used: {os.strerror(error.errno or 0)}",
            hint=f"`ss -ltnp 'sport = :{port}'` shows who has it; free it, or choose another with {flag}",
        ) from error
    return listener


def start(layout: Layout, tools: Path, api: socket.socket, gateway: socket.socket, *, fsync: bool) -> None:
    """Start the supervisor; returns when it has noted down who it is."""
    sockets = [str(api.fileno()), str(gateway.fileno())]
    arguments = [str(layout.root), str(tools), *sockets, *(() if fsync else ("--no-fsync",))]
    with layout.log(LOG).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.cluster.launch", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            pass_fds=(api.fileno(), gateway.fileno()),
            start_new_session=True,
        )
    while running(layout) is None:
        if process.poll() is not None:
            log_file = layout.log(LOG)
            raise PlatformError(
                f"the supervisor could not be started. Last lines of {log_file}:\n{log_tail(log_file)}"
            )
        time.sleep(0.01)
    process.returncode = 0  # it outlives this command on purpose: don't warn that nobody waited for it


def running(layout: Layout) -> Identity | None:
    """The process that keeps a cluster's namespaces, if the cluster runs."""
    identity = Identity.load(layout.process_file)
    return identity if identity is not None and identity.alive else None


def supervisor_of(identity: Identity) -> int | None:
    """The supervisor's process number as the host has it."""
    found = children(identity.pid)
    return found[0] if found else None


def main(arguments: list[str]) -> None:
    """Take the lock, note down who we are, and become `unshare`."""
    layout = Layout(Path(arguments[0]))
    descriptor = os.open(layout.running_lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"a supervisor of {layout.root} is already running")
    # The lock lasts as long as the processes that inherit it.
    os.set_inheritable(descriptor, True)  # noqa: FBT003 - the standard library's signature
    identity = Identity.of(os.getpid())
    if identity is None:
        raise PlatformError("/proc does not show this process")
    identity.store(layout.process_file)
    command = [*UNSHARE, sys.executable, "-m", "infra.cluster.supervisor", *arguments]
    os.execvp(command[0], command)  # noqa: S606 - to become it is the point


if __name__ == "__main__":
    main(sys.argv[1:])
