"""Processes as they can be told apart for certain, and locks that end with the process that holds them."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from infra.cluster.report import Report

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Identity:
    """A process that can't be mistaken for a later one of the same number (proc(5), stat, field 22)."""

    pid: int
    started: int  # clock ticks since boot
    boot: str

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """The process that has this number now; None when there is none, or only a zombie."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = stat.rpartition(")")[2].split()  # the command's name may hold spaces and brackets
        if fields[0] == "Z":
            return None
        return cls(pid, int(fields[19]), BOOT_ID.read_text().strip())

    @classmethod
    def load(cls, path: Path) -> Identity | None:
        """The process that a file names; None when the file is missing or was cut short."""
        try:
            return cls(**json.loads(path.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def store(self, path: Path) -> None:
        """Write this identity to a file that `load` reads."""
        path.write_text(json.dumps(asdict(self)))

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        return Identity.of(self.pid) == self

    def send(self, number: signal.Signals) -> None:
        """Signal the process, unless it has ended."""
        if not self.alive:
            return
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return

    def wait(self, seconds: float) -> bool:
        """Whether the process ended within so many seconds."""
        deadline = time.monotonic() + seconds
        while self.alive:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True


def children(pid: int) -> list[int]:
    """The process numbers of a process's children, of all its threads."""
    found: list[int] = []
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            found.extend(map(int, (thread / "children").read_text().split()))
    except (FileNotFoundError, ProcessLookupError):
        return []
    return found


def inner_pid(pid: int) -> int | None:
    """The number that a process has in its own (innermost) process namespace."""
    numbers = _status(pid, "NSpid").split()
    return int(numbers[-1]) if numbers else None


def parent_pid(pid: int) -> int | None:
    """The number of a process's parent."""
    number = _status(pid, "PPid")
    return int(number) if number else None


def handles(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal (proc(5), SigCgt)."""
    mask = _status(pid, "SigCgt")
    return bool(mask) and bool(int(mask, 16) >> (number - 1) & 1)


def _status(pid: int, key: str) -> str:
    """One line of /proc/pid/status; empty when the process has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return next(
        (line.partition(":")[2].strip() for line in status.splitlines() if line.startswith(f"{key}:")), ""
    )


def is_locked(path: Path) -> bool:
    """Whether some process holds a lock file."""
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


@contextmanager
def locked(path: Path, report: Report, holder: str) -> Generator[None]:
    """Hold a lock file for the length of a block, waiting for `holder` to let it go."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(f"waiting for {holder}")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
