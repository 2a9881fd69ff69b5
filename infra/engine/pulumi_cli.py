"""The other way to run a stack: Pulumi's own engine, by its command line."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from infra.engine.record import REPOSITORY
from infra.errors import PlatformError

PACK: Final = "policies"
MANDATORY_MARK: Final = "[mandatory]"
"""How Pulumi marks a violated policy that stops it."""


class PulumiFailedError(PlatformError):
    """The CLI ended with an error, which it has printed.

    Attributes:
        violated: Whether a mandatory policy stopped it.
    """

    def __init__(self, command: str, code: int, *, violated: bool) -> None:
        reason = "a mandatory policy is violated" if violated else f"exit code {code}, see above"
        super().__init__(f"pulumi {command}: {reason}")
        self.violated = violated


def find() -> Path | None:
    """The CLI, where PATH has it."""
    found = shutil.which("pulumi")
    return Path(found) if found else None


def run(command: str, stack: str, *arguments: str, policies: bool, project: Path = REPOSITORY) -> None:
    """Run a command of the CLI without questions; what it prints goes to standard output as it comes.

    Raises:
        PlatformError: It is not there.
        PulumiFailedError: It ended with an error.
    """
    binary = find()
    if binary is None:
        raise PlatformError(
            "pulumi is not on PATH",
            hint="install it (https://www.pulumi.com/docs/install), or use `--engine direct`",
        )
    pack = ["--policy-pack", str(REPOSITORY / PACK)] if policies else []
    line = [str(binary), command, "--stack", stack, "--non-interactive", *pack, *arguments]
    code, violated = _stream(line, project)
    if code:
        raise PulumiFailedError(command, code, violated=violated)


def _stream(line: Sequence[str], project: Path) -> tuple[int, bool]:
    # Its program needs this environment's Python, also where mcpctl was called without activating it.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    env = {**os.environ, "PATH": path}
    with subprocess.Popen(line, cwd=project, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None  # noqa: S101 - PIPE above
        violated = False
        try:
            for text in process.stdout:
                sys.stdout.write(text)
                sys.stdout.flush()
                violated = violated or MANDATORY_MARK in text
            return process.wait(), violated
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)  # Pulumi finishes what it has begun, and saves its state
            process.wait()
            raise
