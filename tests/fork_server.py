"""Python programs as processes of their own, forked from one that has loaded their modules.

Importing is most of what a gateway's start costs, and the suite starts hundreds of gateways and servers. A
fork runs the same program from its first line, with arguments, environment and output of its own, and is this
process's child as one of `subprocess` is. Forks of one server share its hash seed.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

REPOSITORY: Final = Path(__file__).parents[1]
_LONGEST: Final = 1 << 17
_PR_SET_CHILD_SUBREAPER: Final = 36


class Forked:
    """A running fork, with what tests use of `subprocess.Popen`."""

    def __init__(self, pid: int, arguments: Sequence[str]) -> None:
        self.pid = pid
        self.args = [sys.executable, *arguments]
        self.returncode: int | None = None
        self._ended = os.pidfd_open(pid)
        self._reaping = threading.Lock()

    def poll(self) -> int | None:
        with self._reaping:
            if self.returncode is None:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self.returncode = os.waitstatus_to_exitcode(status)
                    os.close(self._ended)
            return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.poll() is None:
            end = select.poll()
            end.register(self._ended, select.POLLIN)
            if not end.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
        code = self.poll()
        assert code is not None
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """A process that has loaded some modules and forks when it is asked; begun when it is first needed."""

    def __init__(self, *modules: str) -> None:
        self._modules = modules
        self._control: socket.socket | None = None
        self._asking = threading.Lock()

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], output: BinaryIO) -> Forked:
        """As `python ARGUMENTS` in the repository; they are a script or `-m` and a module, then its own."""
        request = json.dumps([list(arguments), dict(environment)]).encode()
        with self._asking:
            control = self._control = self._control or self._begin()
            with _adopting():
                socket.send_fds(control, [request], [output.fileno()])
                pid = control.recv(_LONGEST)
                assert control.recv(_LONGEST) == b"adopted"
        return Forked(int(pid), arguments)

    def _begin(self) -> socket.socket:
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with there:
            command = [sys.executable, "-m", "tests.fork_server", str(there.fileno()), *self._modules]
            null = subprocess.DEVNULL
            server = subprocess.Popen(
                command, cwd=REPOSITORY, stdin=null, stdout=null, pass_fds=[there.fileno()]
            )
        weakref.finalize(self, _end, here, server)
        assert here.recv(_LONGEST) == b"ready", f"{command} ended with {server.wait()}"
        return here


def _end(control: socket.socket, server: subprocess.Popen[bytes]) -> None:
    control.close()
    server.wait()


@contextlib.contextmanager
def _adopting() -> Generator[None]:
    """Processes below this one whose parents end become its own children."""
    _set_subreaper(on=True)
    try:
        yield
    finally:
        _set_subreaper(on=False)


def _set_subreaper(*, on: bool) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, int(on), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


@dataclass
class _Request:
    arguments: list[str]
    environment: dict[str, str]
    output: int

    def run(self) -> None:
        """Be as a fresh interpreter with these arguments would be, and run the program."""
        os.dup2(self.output, 1)
        os.dup2(self.output, 2)
        os.close(self.output)
        os.environ.clear()
        os.environ.update(self.environment)
        first, *rest = self.arguments
        if first == "-m":
            sys.argv = rest
            runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        else:
            sys.argv = [first, *rest]
            sys.path[0] = str(Path(first).parent)
            runpy.run_path(first, run_name="__main__")


def _serve(control: socket.socket) -> _Request:
    """What to run, in the process that is to run it; the server itself ends when nobody can ask any more.

    The fork's parent ends at once, so that who asked adopts it.
    """
    while True:
        text, outputs, _, _ = socket.recv_fds(control, _LONGEST, 1)
        if not text:
            raise SystemExit
        parent = os.fork()
        if not parent:
            pid = os.fork()
            if not pid:
                arguments, environment = json.loads(text)
                return _Request(arguments, environment, outputs[0])
            control.send(str(pid).encode())
            os._exit(0)
        os.waitpid(parent, 0)
        os.close(outputs[0])
        control.send(b"adopted")


def _main() -> None:
    descriptor, *modules = sys.argv[1:]
    for module in modules:
        importlib.import_module(module)
    threads = len(list(Path("/proc/self/task").iterdir()))
    assert threads == 1, "a module began threads, which a fork would lose"
    with socket.socket(fileno=int(descriptor)) as control:
        control.send(b"ready")
        request = _serve(control)
    request.run()


if __name__ == "__main__":
    _main()
