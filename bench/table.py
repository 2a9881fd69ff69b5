"""Samples as rows of a printed table."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Row:
    """One measured figure.

    Attributes:
        what: What was measured.
        samples: One or more values, all in `unit`.
        unit: Such as s, ms or MiB.
        target: What it should be at most, as text; "" for none.
    """

    what: str
    samples: Sequence[float]
    unit: str
    target: str = ""


def show(title: str, rows: Sequence[Row]) -> None:
    """Print minimum, median, 95th percentile and maximum of each row."""
    table = Table("figure", "n", "min", "median", "p95", "max", "unit", "target", title=title)
    for row in rows:
        ordered = sorted(row.samples)
        p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
        numbers = (ordered[0], statistics.median(ordered), p95, ordered[-1])
        table.add_row(row.what, str(len(ordered)), *(f"{n:.2f}" for n in numbers), row.unit, row.target)
    Console(width=120).print(table)
