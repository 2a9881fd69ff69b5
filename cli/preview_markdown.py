"""A comparison of two revisions for a pull request's comment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cli.markdown import code, fitting, row, table_head
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
)
from infra.comparison.object_changes import ObjectChange, Operation
from infra.engine.violation import Violation

LIMIT: Final = 65_000
"""Characters; GitHub takes 65,536 in a comment, and its marker needs a few."""
SMALLEST: Final = 4_000
"""Characters that the fixed parts need at least, however much is left out."""

_FIELDS: Final = 8
_LOSSES: Final = 10
_NAME: Final = 200
_WORDS: Final = {
    Operation.CREATE: "new",
    Operation.CHANGE: "changed",
    Operation.REPLACE: "replaced",
    Operation.DELETE: "deleted",
}


@dataclass(frozen=True, slots=True)
class _Section:
    """A table: its title, its columns, its rows."""

    title: str
    columns: Sequence[str]
    rows: Sequence[str]

    @property
    def head(self) -> str:
        """Everything before the rows."""
        return f"\n#### {self.title}\n\n{table_head(self.columns)}"


def as_markdown(report: Report, limit: int = LIMIT) -> str:
    """The report in at most `limit` characters; what is left out is counted where it would be."""
    head, tail = _head(report), _tail(report)
    sections = [section for section in (_objects(report), _policies(report), _images(report)) if section.rows]
    left = limit - len(head) - len(tail) - sum(len(section.head) for section in sections)
    parts: list[str] = []
    for number, section in enumerate(sections):
        share = left // (len(sections) - number)
        text, _ = fitting(section.rows, share, row(["… {} more", *[""] * (len(section.columns) - 1)]))
        left -= len(text)
        parts.append(section.head + text)
    return "".join((head, *parts, tail))


def _head(report: Report) -> str:
    compared = report.compared
    counts = ", ".join(f"{number} {name}" for name, number in report.counts.items())
    found = compared.policies
    policies = f"policies: {len(found.new)} new, {len(found.fixed)} fixed, {len(found.unchanged)} as before"
    cost = f"cost a month ({report.prices.currency}): {money_change(report.cost_change)}"
    lines = [
        f"### Preview of stack {_name(compared.stack)}",
        "",
        f"{_name(compared.old.revision.title)} → {_name(compared.new.revision.title)}",
        "",
        f"**{counts}** · {policies} · {cost}",
    ]
    if words := existence_words(compared):
        lines += ["", code(words)]
    return "\n".join([*lines, *_losses(report)]) + "\n"


def _losses(report: Report) -> list[str]:
    """What must be acknowledged, and what was."""
    lines: list[str] = []
    if report.pending:
        lines += [
            "",
            "> [!CAUTION]",
            "> This loses what may not come back. A line of this pull request's text, or a label, lets it:",
        ]
        needed = [
            f"> - {_name('acknowledge: ' + report.needed(item))} ({item.operation}d)"
            for item in report.pending
        ]
        lines += ["> ", *_first(needed, "> - … {} more")]
    told = [
        f"- acknowledged: {_name(report.needed(item))} is {item.operation}d" for item in report.acknowledged
    ]
    told += [f"- {_name(item.origin)}: {_name(item.text)} {NOT_NEEDED}" for item in report.review.unknown]
    told += [
        f"- {_name(item.origin)}: {_name(item.text)} names several objects"
        for item in report.review.ambiguous
    ]
    return [*lines, "", *_first(told, "- … {} more")] if told else lines


def _first(lines: Sequence[str], more: str) -> list[str]:
    extra = len(lines) - _LOSSES
    return [*lines[:_LOSSES], more.format(extra)] if extra > 0 else list(lines)


def _objects(report: Report) -> _Section:
    rows = [
        row(
            [
                f"{MARKS[item.operation]} {_WORDS[item.operation]}",
                _name(f"{item.name.kind}/{item.name.name}"),
                _name(item.name.namespace),
                _what(item),
            ]
        )
        for item in report.ordered()
    ]
    return _Section("Objects", ("", "object", "namespace", "what"), rows)


def _what(item: ObjectChange) -> str:
    words = [operation_words(item)] if item.reasons or item.note else []
    changes = [change_words(change) for change in item.changes]
    return "<br>".join(code(_cut(text)) for text in [*words, *shortened(changes, _FIELDS)])


def _policies(report: Report) -> _Section:
    found = report.compared.policies
    rows = [_finding("new", item) for item in found.new] + [_finding("fixed", item) for item in found.fixed]
    return _Section("Policies", ("", "severity", "policy", "object", "what"), rows)


def _finding(mark: str, item: Violation) -> str:
    level = (item.severity or item.enforcement) + ("" if item.mandatory else " (advice)")
    return row(
        [mark, code(level), _name(item.policy), _name(object_words(item)), code(_cut(item.message.strip()))]
    )


def _images(report: Report) -> _Section:
    rows = [
        row(
            [
                _name(item.old) or NONE,
                _name(item.new) or NONE,
                _name(", ".join(shortened(item.users, _FIELDS))),
            ]
        )
        for item in report.compared.images
    ]
    return _Section("Images", ("before", "now", "runs in"), rows)


def _tail(report: Report) -> str:
    compared = report.compared
    old, new = compared.old_cost, compared.new_cost
    months = f"{money(old.total)} → {money(new.total)} {report.prices.currency}"
    source = code(_cut(prices_words(report.prices)))
    lines = ["", f"Cost a month: {months} ({money_change(report.cost_change)}); {source}"]
    if new.unpriced:
        lines += ["", f"Unknown: {code(_cut(unpriced_words(new.unpriced)))}"]
    lines += ["", f"<sub>Both revisions evaluated in {compared.seconds:.1f} s, side by side.</sub>", ""]
    return "\n".join(lines)


def _name(text: str) -> str:
    return code(_cut(text, _NAME))


def _cut(text: str, longest: int = 700) -> str:
    return text if len(text) <= longest else f"{text[:longest]}…"
