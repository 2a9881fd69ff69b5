"""The folder and the processes of a run."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.gateway.processes import Process, free_port


class Stage:
    """Starts programs, with their files in one folder; ends them all."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack

    def start(self, name: str, command: Sequence[str], environment: dict[str, str] | None = None) -> Process:
        """A process that ends with the stage."""
        process = Process(name, command, self.folder / f"{name}-{free_port()}.log", environment)
        self._stack.callback(process.stop)
        return process

    def keep(self, folder: str) -> Path:
        """A further folder that ends with the stage."""
        self._stack.callback(shutil.rmtree, folder)
        return Path(folder)
