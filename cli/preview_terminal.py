"""A comparison of two revisions for people at a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.preview_report import Report
from cli.preview_words import (
    MARKS,
    NONE,
    NOT_NEEDED,
    change_words,
    existence_words,
    money,
    money_change,
    object_words,
    operation_words,
    prices_words,
    shortened,
    unpriced_words,
    visible,
)
from infra.comparison.object_changes import ObjectChange, Operation
from infra.engine.violation import Violation

FIELDS: Final = 12
"""Changed fields that are shown of one object."""

_STYLES: Final = {
    Operation.CREATE: "green",
    Operation.CHANGE: "yellow",
    Operation.REPLACE: "bold red",
    Operation.DELETE: "red",
}


def print_report(console: Console, report: Report) -> None:
    """Objects, policies, images, cost, and what must be acknowledged."""
    compared = report.compared
    title = f"stack {compared.stack}: {compared.old.revision.title} → {compared.new.revision.title}"
    console.print(Text(visible(title), style="bold"))
    if words := existence_words(compared):
        console.print(Text(visible(words)))
    for part in (_objects(report), _images(report)):
        if part.row_count:
            console.print(part)
    console.print(Text(", ".join(f"{number} {name}" for name, number in report.counts.items())))
    _print_policies(console, report)
    _print_cost(console, report)
    _print_losses(console, report)
    seconds = f"{compared.old.seconds:.1f} s and {compared.new.seconds:.1f} s"
    console.print(
        Text(f"both revisions evaluated in {compared.seconds:.1f} s ({seconds} side by side)", "dim")
    )


def _objects(report: Report) -> Table:
    table = _table("", "object", "namespace", "what")
    for item in report.ordered():
        name = item.name
        table.add_row(
            Text(MARKS[item.operation], style=_STYLES[item.operation]),
            Text(visible(f"{name.kind} {name.name}"), style=_STYLES[item.operation]),
            Text(visible(name.namespace), style="dim"),
            Text("\n".join(_what(item))),
        )
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _what(item: ObjectChange) -> Iterable[str]:
    if words := operation_words(item):
        yield words
    yield from shortened([change_words(change) for change in item.changes], FIELDS)


def _images(report: Report) -> Table:
    table = _table("image before", "image now", "runs in")
    for change in report.compared.images:
        users = ", ".join(shortened(change.users, FIELDS))
        table.add_row(*(Text(visible(text)) for text in (change.old or NONE, change.new or NONE, users)))
    return table


def _print_policies(console: Console, report: Report) -> None:
    found = report.compared.policies
    for items, mark, style in ((found.new, "new", "red"), (found.fixed, "fixed", "green")):
        for item in items:
            console.print(Text.assemble((f"{mark} finding", style), f" {finding_words(item)}"))
    console.print(
        Text(f"policies: {len(found.new)} new, {len(found.fixed)} fixed, {len(found.unchanged)} as before")
    )


def finding_words(item: Violation) -> str:
    """`high pdb-exists: Deployment gateway: …`, on one line."""
    advice = "" if item.mandatory else " (advice)"
    level = item.severity or item.enforcement
    return visible(f"{level} {item.policy}{advice}: {object_words(item)}: {item.message.strip()}")


def _print_cost(console: Console, report: Report) -> None:
    old, new = report.compared.old_cost, report.compared.new_cost
    currency = report.prices.currency
    console.print(
        Text(
            f"cost a month: {money(old.total)} → {money(new.total)} {currency} "
            f"({money_change(report.cost_change)}), {prices_words(report.prices)}"
        )
    )
    if new.unpriced:
        console.print(Text(f"  unknown: {unpriced_words(new.unpriced)}", "dim"))


def _print_losses(console: Console, report: Report) -> None:
    for item in report.acknowledged:
        console.print(Text(visible(f"acknowledged: {report.needed(item)} is {item.operation}d"), "yellow"))
    for given in report.review.unknown:
        console.print(Text(visible(f"{given.origin}: {given.text} {NOT_NEEDED}"), "yellow"))
    for given in report.review.ambiguous:
        console.print(Text(visible(f"{given.origin}: {given.text} names several objects"), "yellow"))
    for item in report.pending:
        text = f"{item.operation}d, to be acknowledged: --acknowledge {report.needed(item)}"
        console.print(Text(visible(text), "bold red"))
