"""A policy pack's own process: it serves gRPC on loopback, as for Pulumi's engine, and check.py asks it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from infra.engine.record import REPOSITORY, child_environment
from infra.errors import PlatformError

START_TIMEOUT: Final = 60.0


class Analyzer:
    """The running pack. As a context manager: it starts at once, and it is ended on every way out.

    Starting takes the pack's imports (about a second); `port` waits for it, so other work fits in between.

    Attributes:
        name: The pack's folder.
        project: The project that it is asked about.
        stack: The stack that it is asked about.
        process: The pack's process, from entering on.
    """

    def __init__(self, pack: Path, *, project: str, stack: str, code: Path = REPOSITORY) -> None:
        self._pack = pack
        self._code = code
        self.name = pack.name
        self.project = project
        self.stack = stack

    def __enter__(self) -> Self:
        if not (self._pack / "__main__.py").is_file():
            raise PlatformError(f"{self._pack} is not a policy pack: it has no __main__.py")
        self._errors = tempfile.TemporaryFile()
        # -u: the pack prints its port and then waits for ever; Python would keep the line in its buffer.
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-u", "-m", "infra.engine.lifeline", str(self._pack)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            process_group=0,  # Ctrl-C is ours to answer
            env=child_environment(self._code)
            | {
                "PULUMI_PROJECT": self.project,
                "PULUMI_STACK": self.stack,
                "PULUMI_DRY_RUN": "true",
                "PULUMI_ORGANIZATION": "organization",
            },
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.communicate()
        self._errors.close()

    def port(self) -> int:
        """Wait for the number that a pack prints when it listens.

        Raises:
            PlatformError: The pack ended, or did not start within `START_TIMEOUT` seconds.
        """
        assert self.process.stdout is not None  # noqa: S101 - PIPE above
        timer = threading.Timer(START_TIMEOUT, self.process.kill)
        timer.start()
        try:
            line = self.process.stdout.readline().strip()
        finally:
            timer.cancel()
        with suppress(ValueError):
            return int(line)
        self.process.kill()
        self.process.wait()
        said = self.last_line()
        raise PlatformError(f"policy pack {self.name} did not start: {said or f'it printed {line!r}'}")

    def last_line(self) -> str:
        """What it wrote last to standard error; "" if nothing."""
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""
