"""Run a program and wait for it, also when the user presses Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.errors import PlatformError

GRACE: Final = 20.0
"""Seconds that a program gets to tidy up after an interrupt (Helm marks its release as failed)."""


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
    watch: Callable[[], bool] | None = None,
) -> Result:
    """Run a program to its end.

    Args:
        command: The program and its arguments.
        stdin: What it reads on standard input.
        timeout: Seconds after which it is interrupted.
        env: Its environment, if not ours.
        watch: Called about once a second while it runs; if it returns False, the program is interrupted.

    Raises:
        PlatformError: It is not there, or ran out of time.
        KeyboardInterrupt: The user pressed Ctrl-C; the program has ended by then.
    """
    try:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
        )
    except FileNotFoundError:
        raise PlatformError(f"{command[0]} is not there") from None
    try:
        out, err = _communicate(process, stdin, timeout, watch)
    except subprocess.TimeoutExpired:
        _interrupt(process)
        name = Path(command[0]).name
        raise PlatformError(f"{name} {command[1]} did not finish within {timeout:.0f} s") from None
    except BaseException:
        _interrupt(process)
        raise
    return Result(process.returncode, out, err)


def _communicate(
    process: subprocess.Popen[str], stdin: str, timeout: float, watch: Callable[[], bool] | None
) -> tuple[str, str]:
    if watch is None:
        return process.communicate(stdin, timeout=timeout)
    waited = 0.0
    unsent: str | None = stdin
    while True:
        try:
            return process.communicate(unsent, timeout=1)
        except subprocess.TimeoutExpired:
            unsent = None  # `communicate` remembers the input and goes on with it
            waited += 1
            if waited >= timeout:
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
