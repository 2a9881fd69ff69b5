"""How long steps tell what they do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Report = Callable[[str], None]


def silent(_line: str) -> None:
    """A Report for callers that show nothing."""


def last_lines(text: str, count: int) -> str:
    """The last `count` lines of a program's output that say anything."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(lines[-count:])


def log_tail(path: Path, count: int = 10, *, window: int = 65536) -> str:
    """The last lines of a log, read from its last `window` bytes; empty when there is no log."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - window))
            return last_lines(file.read().decode(errors="replace"), count)
    except FileNotFoundError:
        return ""
