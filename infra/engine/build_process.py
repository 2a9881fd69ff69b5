"""Running a builder's command: its steps as they happen, and of a failure the step and its last lines."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from infra.errors import PlatformError

TAIL_LINES: Final = 20
STEP_WIDTH: Final = 100
GRACE_SECONDS: Final = 10

# buildah: `[2/4] STEP 3/5: RUN …`.
_STEP: Final = re.compile(r"^(?:\[\d+/\d+\] )?STEP \d+/\d+: (?P<step>.*)$")
# BuildKit runs steps at once and numbers lines by step: `#8 [2/5] RUN …`, `#8 0.31 output`, `#8 ERROR: …`.
_NUMBERED: Final = re.compile(
    r"^#(?P<number>\d+) (?:\[[^\]]+\] (?P<step>.*)|(?P<failed>ERROR.*)|(?P<output>.*))$"
)
_SECONDS: Final = re.compile(r"^\d+\.\d+ ")

# mmdebstrap: `I: installing packages`; a note, for it goes on after what failed.
_NOTE: Final = re.compile(r"^I: (?P<note>.*)$")
_NO_SUCH_IMAGE: Final = re.compile(r"manifest unknown|no such manifest|name unknown|not found", re.IGNORECASE)

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


@dataclass
class _Step:
    """One instruction and the last lines that it printed."""

    name: str = ""
    tail: deque[str] = field(default_factory=lambda: deque[str](maxlen=TAIL_LINES))

    def add(self, line: str) -> None:
        if line.strip():
            self.tail.append(line.rstrip())


class StepLog:
    """Follows a build's output, to tell its steps as they start and, in the end, the one that failed."""

    def __init__(self, on_step: Callable[[str], None]) -> None:
        self._on_step = on_step
        self._latest = _Step()
        self._numbered: dict[str, _Step] = {}
        self._failed: _Step | None = None

    @property
    def step(self) -> str:
        """The instruction that failed, or else the latest."""
        return (self._failed or self._latest).name

    @property
    def tail(self) -> str:
        """The last lines that it printed."""
        return "\n".join((self._failed or self._latest).tail)

    def feed(self, line: str) -> None:
        """Take one line of output, without its newline."""
        if numbered := _NUMBERED.match(line):
            self._feed_numbered(numbered)
        elif started := _STEP.match(line):
            self._latest = self._begin(started["step"])
        elif note := _NOTE.match(line):
            self._on_step(note["note"])
        else:
            self._latest.add(line)

    def _feed_numbered(self, line: re.Match[str]) -> None:
        step = self._numbered.setdefault(line["number"], _Step())
        if line["step"] is None:
            step.add(line["failed"] or _SECONDS.sub("", line["output"]))
            self._failed = step if line["failed"] else self._failed
        elif not step.name:
            step.name = self._begin(line["step"]).name

    def _begin(self, instruction: str) -> _Step:
        words = " ".join(instruction.split())
        step = _Step(words if len(words) <= STEP_WIDTH else f"{words[: STEP_WIDTH - 1]}…")
        self._on_step(step.name)
        return step


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
        raise CommandError(f"{what} failed{where}", log.tail)


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


def registry_has(command: Sequence[str], ref: str) -> bool:
    """Whether a command that reads an image's manifest from its registry finds it.

    Raises:
        CommandError: The registry is not reached, or does not let us in.
    """
    try:
        output_of(command, what=f"asking the registry for {ref}")
    except CommandError as error:
        if _NO_SUCH_IMAGE.search(error.tail):
            return False
        raise
    return True


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
