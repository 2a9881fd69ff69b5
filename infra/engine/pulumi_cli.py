"""The other way to run a stack: Pulumi's own engine, by its command line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from infra.engine.record import REPOSITORY
from infra.engine.violation import MANDATORY, Violation
from infra.errors import PlatformError

PACK: Final = "policies"
_HINTS: Final[Mapping[int, str]] = {
    3: "run `pulumi login`, or use `--engine direct`",
    6: "make it by `pulumi stack init {stack}`, or use `--engine direct`",
}
"""The CLI's exit code → what to do."""


class PulumiFailedError(PlatformError):
    """The CLI ended with an error, which it has printed.

    Attributes:
        violations: The mandatory policies that stopped it.
    """

    def __init__(self, command: str, stack: str, code: int, violations: Sequence[Violation]) -> None:
        reason = "a mandatory policy is violated" if violations else f"exit code {code}, see above"
        hint = _HINTS.get(code, "").format(stack=stack)
        super().__init__(f"pulumi {command}: {reason}", hint=hint)
        self.violations = violations


def find() -> Path | None:
    """The CLI, where PATH has it."""
    found = shutil.which("pulumi")
    return Path(found) if found else None


def run(command: str, stack: str, *arguments: str, policies: bool, project: Path = REPOSITORY) -> None:
    """Run a command of the CLI without questions, on this process's standard output.

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
    line = [str(binary), command, "--stack", stack, "--non-interactive"]
    with tempfile.TemporaryDirectory() as folder:
        events = Path(folder) / "events"
        # What policies say is part of its text, but not of its JSON; its log of events always has it.
        pack = ["--policy-pack", str(REPOSITORY / PACK), "--event-log", str(events)] if policies else []
        code = _wait([*line, *pack, *arguments], project)
        if code:
            raise PulumiFailedError(command, stack, code, list(_mandatory(events)))


def _wait(line: Sequence[str], project: Path) -> int:
    # Its program needs this environment's Python, also where mcpctl was called without activating it.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    # Pulumi's own Automation API asks for the log of events so: the option is one of its debugging commands.
    env = {**os.environ, "PATH": path, "PULUMI_DEBUG_COMMANDS": "true"}
    sys.stdout.flush()
    with subprocess.Popen(line, cwd=project, env=env) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)  # Pulumi finishes what it has begun, and saves its state
            process.wait()
            raise


def _mandatory(events: Path) -> Iterator[Violation]:
    """The violated policies that stop a deployment, in the log of events, a line of JSON each."""
    if not events.is_file():  # it ended before
        return
    for line in events.read_text(encoding="utf-8").splitlines():
        event = json.loads(line).get("policyEvent")
        if event and event["enforcementLevel"] == MANDATORY:
            urn, severity = event.get("resourceUrn", ""), event.get("severity", "")
            yield Violation(event["policyName"], urn, event["message"], MANDATORY, severity)
