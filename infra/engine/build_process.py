"""Running a builder's command: its steps as they happen, and of a failure the step and its last lines."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from infra.errors import PlatformError

TAIL_LINES: Final = 20
STEP_WIDTH: Final = 100
GRACE_SECONDS: Final = 10

# buildah: `[2/4] STEP 3/5: RUN …`; BuildKit: `#8 [packages 2/5] RUN …`; mmdebstrap: `I: installing packages`.
_STEP: Final = re.compile(r"^(?:\[\d+/\d+\] )?(?:STEP \d+/\d+: |#\d+ \[[^\]]+\] |I: )(?P<step>.*)$")
# BuildKit's summary names the step that failed: ` > [2/5] RUN …:`
_FAILED_STEP: Final = re.compile(r"^ > \[[^\]]+\] (?P<step>.*):$")

_HINTS: Final = (
    (r"No space left on device|disk quota exceeded", "free disk space, then run this again"),
    (
        r"CERTIFICATE_VERIFY_FAILED|certificate signed by unknown authority|certificate verify failed",
        "set MCP_PLATFORM_CA_BUNDLE to the certificates that this network needs",
    ),
    (r"DO NOT MATCH THE HASHES", "a package differs from its lock; `make lock` after checking why"),
    (
        (
            r"Temporary failure resolving|Could not resolve|Name or service not known|no such host"
            r"|Connection refused|i/o timeout|Could not connect|Max retries exceeded|Network is unreachable"
        ),
        "is the network up? behind a proxy, set HTTP_PROXY, HTTPS_PROXY and NO_PROXY",
    ),
)


class CommandError(PlatformError):
    """A builder's command failed.

    Attributes:
        tail: The last lines of its output.
    """

    def __init__(self, message: str, tail: str) -> None:
        super().__init__(f"{message}\n{tail}" if tail else message, hint=hint_for(tail))
        self.tail = tail


def hint_for(output: str) -> str:
    """What to do about the first known cause that the output names."""
    return next((hint for pattern, hint in _HINTS if re.search(pattern, output, re.IGNORECASE)), "")


class StepLog:
    """Follows a build's output.

    Attributes:
        step: The instruction that runs, or of a failed BuildKit build the one that failed.
        tail: The last lines that it printed.
    """

    def __init__(self, on_step: Callable[[str], None]) -> None:
        self.step = ""
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._on_step = on_step

    def feed(self, line: str) -> None:
        """Take one line of output, without its newline."""
        if failed := _FAILED_STEP.match(line):
            self._begin(failed["step"])
        elif started := _STEP.match(line):
            self._begin(started["step"])
            self._on_step(self.step)
        elif line.strip():
            self.tail.append(line.rstrip())

    def _begin(self, step: str) -> None:
        words = " ".join(step.split())
        self.step = words if len(words) <= STEP_WIDTH else f"{words[: STEP_WIDTH - 1]}…"
        self.tail.clear()


def build_steps(
    command: Sequence[str], *, what: str, env: Mapping[str, str], on_step: Callable[[str], None]
) -> None:
    """Run a build and tell its steps.

    Raises:
        CommandError: The build failed; the message names the step and holds its last lines.
    """
    log = StepLog(on_step)
    with _ended(_start(command, env)) as process:
        assert process.stdout is not None  # noqa: S101 - asked for in _start; tells the type checker
        for line in process.stdout:
            log.feed(line.rstrip("\n"))
        code = process.wait()
    if code != 0:
        where = f" at: {log.step}" if log.step else f" (exit code {code})"
        raise CommandError(f"{what} failed{where}", "\n".join(log.tail))


def output_of(
    command: Sequence[str], *, what: str, env: Mapping[str, str] | None = None, seconds: float | None = None
) -> str:
    """Run a short command and return what it printed.

    Raises:
        CommandError: It failed or took longer than `seconds`.
    """
    try:
        done = subprocess.run(
            command, env=env, capture_output=True, text=True, errors="replace", check=False, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        raise CommandError(f"{what} did not end within {seconds:.0f} s", "") from None
    except FileNotFoundError:
        raise CommandError(f"{what} failed: there is no {command[0]} on PATH", "") from None
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).strip().splitlines()[-TAIL_LINES:]
        raise CommandError(f"{what} failed (exit code {done.returncode})", "\n".join(lines))
    return done.stdout


def _start(command: Sequence[str], env: Mapping[str, str]) -> subprocess.Popen[str]:
    """In a session of its own, so that everything that a build started can be ended together."""
    return subprocess.Popen(
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        bufsize=1,
        start_new_session=True,
    )


@contextmanager
def _ended(process: subprocess.Popen[str]) -> Generator[subprocess.Popen[str]]:
    """Leave no process behind when the block is left early, by an error or by Ctrl-C."""
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if process.stdout is not None:
            process.stdout.close()
