"""Run a program and wait for it, also when the user presses Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.errors import PlatformError

GRACE: Final = 20.0
"""Seconds that a program gets to tidy up after an interrupt (Helm marks its release as failed)."""

_ROUND: Final = 1.0


@dataclass(frozen=True, slots=True)
class Result:
    """How a program ended and what it said."""

    code: int
    out: str
    err: str


def run(
    command: Sequence[str | Path],
    *,
    stdin: str = "",
    timeout: float = 120,
    env: Mapping[str, str] | None = None,
) -> Result:
    """Run a program to its end.

    Args:
        command: The program and its arguments.
        stdin: What it reads on standard input.
        timeout: Seconds after which it is interrupted.
        env: Variables of the environment that are to differ from ours.

    Raises:
        PlatformError: It is not there, or ran out of time.
        KeyboardInterrupt: The user pressed Ctrl-C; the program has ended by then.
    """
    return _finish(_start(command, env), stdin, timeout, None)


def run_watched(command: Sequence[str | Path], *, timeout: float, watch: Callable[[], bool]) -> Result:
    """Run a program that reads nothing, and call `watch` once a second; when that is False, interrupt it.

    Raises as `run`.
    """
    return _finish(_start(command), "", timeout, watch)


def _start(command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **env} if env else None,
        )
    except FileNotFoundError:
        raise PlatformError(f"{command[0]} is not there") from None


def _finish(
    process: subprocess.Popen[str], stdin: str, timeout: float, watch: Callable[[], bool] | None
) -> Result:
    try:
        out, err = _wait(process, timeout, watch) if watch else process.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired:
        _interrupt(process)
        words = " ".join(str(word) for word in process.args[:2]) if isinstance(process.args, list) else ""
        raise PlatformError(f"{words} did not finish within {timeout:.0f} s") from None
    except BaseException:
        _interrupt(process)
        raise
    return Result(process.returncode, out, err)


def _wait(process: subprocess.Popen[str], timeout: float, watch: Callable[[], bool]) -> tuple[str, str]:
    deadline = time.monotonic() + timeout
    while True:
        try:
            return process.communicate(timeout=_ROUND)
        except subprocess.TimeoutExpired:
            if time.monotonic() > deadline:
                raise
        if not watch():
            return _interrupt(process)


def _interrupt(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Ask a program to end, and wait until it has; return what it said last."""
    process.send_signal(signal.SIGINT)
    try:
        return process.communicate(timeout=GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()
