"""Starts and ends a cluster's supervisor, which lives in namespaces of its own.

`start` takes the cluster's lock and makes a process that inherits it, notes down who it is, and only then
becomes `unshare`, keeping its number, start time and lock. So there is no moment, wherever a command is cut
short, at which a cluster runs and its directory doesn't tell.

    python -m infra.cluster.launch DIRECTORY TOOLS API_SOCKET GATEWAY_SOCKET [--no-fsync]
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import infra
from infra.cluster.processes import Identity, children, is_locked
from infra.cluster.report import Report, log_tail
from infra.cluster.spec import Layout
from infra.errors import PlatformError

PROJECT = Path(infra.__file__).parent.parent

LOG = "supervisor"
STOP_SECONDS = 60.0  # pods, components and stores each have their time: supervisor.py
KILL_SECONDS = 60.0  # long, for a machine that is busy: what is waited for takes no time by itself

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
            hint=f"`ss -ltnp 'sport = :{port}'` shows who has it; `mcpctl cluster up {flag} N` takes another",
        ) from error
    return listener


def start(layout: Layout, tools: Path, api: socket.socket, gateway: socket.socket, *, fsync: bool) -> None:
    """Start the supervisor; returns when it has noted down who it is."""
    sockets = [str(api.fileno()), str(gateway.fileno())]
    arguments = [str(layout.root), str(tools), *sockets, *(() if fsync else ("--no-fsync",))]
    with layout.log(LOG).open("ab") as log, layout.running_lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.cluster.launch", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            pass_fds=(api.fileno(), gateway.fileno(), lock.fileno()),
            start_new_session=True,
        )
    if running(layout) is None:
        log_file = layout.log(LOG)
        raise PlatformError(
            f"the supervisor could not be started. Last lines of {log_file}:\n{log_tail(log_file)}"
        )
    process.returncode = 0  # it outlives this command on purpose: don't warn that nobody waited for it


def stop(layout: Layout, report: Report) -> None:
    """End the cluster's processes: by asking the supervisor, or by force when that takes too long."""
    identity = running(layout)
    if identity is None:
        return
    report("stopping the pods and the node")
    deadline = time.monotonic() + STOP_SECONDS
    while identity.alive and time.monotonic() < deadline:
        pid = supervisor_of(identity)
        supervisor = Identity.of(pid) if pid else None
        if supervisor is not None:
            # Again and again: one that has only just started doesn't listen yet.
            supervisor.send(signal.SIGTERM)
        identity.wait(1)
    if identity.alive:
        report("it does not end by itself; killing it")
        identity.send(signal.SIGKILL)  # its child, the supervisor, goes with it, and so does every process
    if not identity.wait(KILL_SECONDS):
        raise PlatformError(f"process {identity.pid} of cluster {layout.root.name} can't be ended")


def running(layout: Layout) -> Identity | None:
    """The process that keeps a cluster's namespaces, if the cluster runs.

    While the lock is held and no living process is noted, one is about to note itself down, or about to end.
    """
    deadline = time.monotonic() + KILL_SECONDS
    while True:
        identity = Identity.load(layout.process_file)
        if identity is not None and identity.alive:
            return identity
        if not is_locked(layout.running_lock):
            return None
        if time.monotonic() > deadline:
            raise PlatformError(
                f"something holds {layout.running_lock}, but no supervisor of the cluster runs"
            )
        time.sleep(0.02)


def supervisor_of(identity: Identity) -> int | None:
    """The supervisor's process number as the host has it."""
    found = children(identity.pid)
    return found[0] if found else None


def main(arguments: list[str]) -> None:
    """Note down who we are, and become `unshare`."""
    layout = Layout(Path(arguments[0]))
    identity = Identity.of(os.getpid())
    if identity is None:
        raise PlatformError("/proc does not show this process")
    identity.store(layout.process_file)
    command = [*UNSHARE, sys.executable, "-m", "infra.cluster.supervisor", *arguments]
    os.execvp(command[0], command)  # noqa: S606 - to become it is the point


if __name__ == "__main__":
    main(sys.argv[1:])
