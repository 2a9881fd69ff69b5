"""Programs that run while something is measured, and what the kernel says that they used."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from infra.cluster.report import log_tail
from infra.errors import PlatformError

REPOSITORY = Path(__file__).parents[2]
START_SECONDS = 120.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.005
TICKS = os.sysconf("SC_CLK_TCK")
MEBIBYTE = 1024 * 1024


class Process:
    """A program in a session of its own, with its log in a file."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start it; `environment` is added to ours."""
        self.name = name
        self.log = log
        self.started = time.perf_counter()
        with log.open("wb") as output:
            self._popen = subprocess.Popen(
                list(command),
                cwd=REPOSITORY,
                env={**os.environ, **(environment or {})},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._popen.pid

    def wait_until(self, ready: Callable[[], bool]) -> float:
        """Seconds from its start until it was ready.

        Raises:
            PlatformError: it ended, or took too long.
        """
        while not ready():
            if self._popen.poll() is not None:
                raise self._failed(f"ended with status {self._popen.returncode}")
            if time.perf_counter() - self.started > START_SECONDS:
                raise self._failed(f"was not ready within {START_SECONDS:.0f} s")
            time.sleep(POLL_SECONDS)
        return time.perf_counter() - self.started

    def stop(self) -> None:
        """Ask it and its children to end; make them, should they not."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGTERM)
        try:
            self._popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._popen.wait()

    def cpu_seconds(self) -> float:
        """User and system time of the process and those of its children that live."""
        return sum(_cpu_seconds(pid) for pid in self._family())

    def resident_mib(self) -> float:
        """Resident memory; pages that its processes share are counted for each."""
        return sum(_resident_bytes(pid) for pid in self._family()) / MEBIBYTE

    def proportional_mib(self) -> float:
        """Memory with shared pages divided among those who share them: fair to programs that fork."""
        return sum(_proportional_kib(pid) for pid in self._family()) / 1024

    def _family(self) -> list[int]:
        """All processes of its session."""
        found: list[int] = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it ended meanwhile
                if os.getsid(int(entry.name)) == self.pid:
                    found.append(int(entry.name))
        return found

    def _failed(self, what: str) -> PlatformError:
        return PlatformError(f"{self.name} {what}; its log ends with:\n{log_tail(self.log)}")


def parse_cpu_ticks(stat: str) -> int:
    """User and system time in a `/proc/PID/stat`; its second field may hold spaces and brackets (proc(5))."""
    fields = stat.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def free_port() -> int:
    """A port of the loopback address that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def accepts(port: int) -> bool:
    """Whether something listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def answers(url: str) -> bool:
    """Whether a GET is answered with success."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - our own loopback URLs
            return response.status < 300  # noqa: PLR2004 - HTTP's classes
    except (urllib.error.URLError, OSError):
        return False


def _cpu_seconds(pid: int) -> float:
    with contextlib.suppress(OSError):  # it ended meanwhile
        return parse_cpu_ticks(Path(f"/proc/{pid}/stat").read_text()) / TICKS
    return 0.0


def parse_proportional_kib(rollup: str) -> int:
    """The `Pss:` line of a `/proc/PID/smaps_rollup`; 0 without one."""
    for line in rollup.splitlines():
        name, _, value = line.partition(":")
        if name == "Pss":
            return int(value.split()[0])
    return 0


def _proportional_kib(pid: int) -> int:
    with contextlib.suppress(OSError):  # it ended meanwhile
        return parse_proportional_kib(Path(f"/proc/{pid}/smaps_rollup").read_text())
    return 0


def _resident_bytes(pid: int) -> int:
    with contextlib.suppress(OSError):  # it ended meanwhile
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0
