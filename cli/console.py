"""How mcpctl talks: results on stdout, progress with elapsed time on stderr."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from collections.abc import Callable

PIPE_WIDTH: Final = 200
"""Columns of a table that goes to another program, which wants one line for each row."""

_WIDTH: Final = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH

# Sentences are left to the terminal to wrap: a break of ours would end up in what is copied or piped.
out = Console(soft_wrap=True, width=_WIDTH)
err = Console(soft_wrap=True, stderr=True, highlight=False)


def clock(seconds: float) -> str:
    """`75.2` as `1:15`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"


@contextmanager
def step(title: str) -> Generator[Callable[[str], None]]:
    """Show a long step: what is being done, its latest line, and how long it has taken.

    Yields a function that reports progress. On a terminal the line is redrawn, elsewhere a report is a line.
    """
    started = time.monotonic()
    if err.is_terminal:
        with err.status(title) as status:

            def report(line: str) -> None:
                status.update(f"{escape(f'{title}: {line}')} [dim]{clock(time.monotonic() - started)}[/]")

            yield report
    else:
        err.print(f"{title} …")

        def report(line: str) -> None:
            err.print(f"  {clock(time.monotonic() - started)} {line}", markup=False)

        yield report
    err.print(f"[green]✓[/] {title} [dim]{clock(time.monotonic() - started)}[/]")
