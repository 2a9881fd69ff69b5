"""Markdown of texts that others wrote: nothing in them is markup, a mention, a link or HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from cli.preview_words import visible

_TICKS: Final = re.compile(r"`+")


def code(text: str) -> str:
    """A text as a code span."""
    shown = visible(text)
    if not shown.strip():
        return f"`{shown}`" if shown else ""
    runs = {len(run) for run in _TICKS.findall(shown)}
    fence = "`" * next(length for length in range(1, len(shown) + 2) if length not in runs)
    # A space on both sides is taken away again, and keeps a tick at an end apart from the fence.
    edge = " " if shown[0] in "` " or shown[-1] in "` " else ""
    return f"{fence}{edge}{shown}{edge}{fence}"


def row(cells: Sequence[str]) -> str:
    """A line of a table; the cells are Markdown already. A bar would end one, in code, too."""
    escaped = [cell.replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(escaped)} |\n"


def table_head(names: Sequence[str]) -> str:
    """The first two lines of a table."""
    return row(names) + row(["---"] * len(names))


def fitting(rows: Sequence[str], budget: int, more: str) -> tuple[str, int]:
    """As many rows as fit, with `more` (which has `{}` for how many) instead of the others.

    Returns:
        The text, and how many rows are left out.
    """
    if sum(map(len, rows)) <= budget:
        return "".join(rows), 0
    left = budget - len(more) - len(str(len(rows)))
    taken: list[str] = []
    for text in rows:
        if len(text) > left:
            break
        taken.append(text)
        left -= len(text)
    missing = len(rows) - len(taken)
    return "".join(taken) + more.format(missing), missing
