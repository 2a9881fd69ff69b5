"""How mcpctl talks: results on stdout, progress with elapsed time on stderr."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from collections.abc import Callable

out = Console()
err = Console(stderr=True, highlight=False)


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
            err.print(f"  {clock(time.monotonic() - started)} {line}", markup=False, soft_wrap=True)

        yield report
    err.print(f"[green]✓[/] {title} [dim]{clock(time.monotonic() - started)}[/]")
