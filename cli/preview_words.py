"""Changes, costs and names in words, on one line and without control characters."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from typing import Any, Final, cast

from infra.comparison.comparing import Compared
from infra.comparison.cost import Unpriced
from infra.comparison.cost_pods import Amount
from infra.comparison.object_changes import ObjectChange, Operation
from infra.comparison.prices import Prices
from infra.engine.diff import ABSENT, Change, differences
from infra.engine.graph import Data
from infra.engine.violation import Violation

LONGEST: Final = 160
"""Characters of one value."""
LINES: Final = 6
"""Lines of one text, and items of one list, that are shown as they change."""
_CONTEXT: Final = 16

NONE: Final = "none"
NOT_NEEDED: Final = "is neither deleted nor replaced, or need not be acknowledged"

MARKS: Final = {Operation.CREATE: "+", Operation.CHANGE: "~", Operation.REPLACE: "±", Operation.DELETE: "-"}


def change_words(change: Change) -> str:
    """`spec.replicas: 2 → 3`; of texts and lists only what differs."""
    return visible(f"{change.path}: {_difference(change.old, change.new)}")


def existence_words(compared: Compared) -> str:
    """What to know where only one of the revisions has the stack; "" where both have it."""
    if not compared.old.exists:
        return "The stack is new: the other revision has none."
    if not compared.new.exists:
        return (
            f"The stack is gone: there is no Pulumi.{compared.stack}.yaml any more. Nobody manages what is "
            "deployed then, and nothing deletes it until it is taken down from a revision that has the file."
        )
    return ""


def operation_words(item: ObjectChange) -> str:
    """`replaced for spec.selector`, `deleted, …`."""
    words = {
        Operation.CREATE: "new",
        Operation.CHANGE: "",
        Operation.REPLACE: "replaced",
        Operation.DELETE: "deleted",
    }[item.operation]
    if item.reasons:
        words += f" for {', '.join(item.reasons)}"
    return visible("; ".join(filter(None, (words, item.note))))


def object_words(violation: Violation) -> str:
    """`Deployment gateway`, or `the stack`."""
    parts = violation.urn.split("::")
    if len(parts) < 4:  # noqa: PLR2004 - a URN's parts
        return "the stack"
    return visible(f"{parts[2].rpartition('$')[2].rpartition(':')[2]} {parts[3]}")


def money(amount: Amount) -> str:
    """`176 to 348`, in whole units but for small amounts."""
    low, high = _units(amount.low), _units(amount.high)
    return low if low == high else f"{low} to {high}"


def money_change(amount: Amount) -> str:
    """`+12`, `-3 to +40`, or `no change`."""
    if _units(amount.low) == _units(amount.high) == _units(0):
        return "no change"
    low, high = (f"{'+' if value > 0 else ''}{_units(value)}" for value in (amount.low, amount.high))
    return low if low == high else f"{low} to {high}"


def unpriced_words(items: Sequence[Unpriced], most: int = 12) -> str:
    """`Bucket/backups (charged by use), …`, alike ones together."""
    by_reason: dict[str, list[str]] = {}
    for item in items:
        by_reason.setdefault(item.why, []).append(item.what)
    return visible(
        "; ".join(f"{', '.join(shortened(names, most))} ({why})" for why, names in by_reason.items())
    )


def prices_words(prices: Prices) -> str:
    """What the estimate was made with."""
    return visible(f"an estimate with {prices.title}, from {prices.source}")


def shortened(items: Sequence[str], most: int) -> list[str]:
    """The first of many, and how many more there are."""
    return [*items[:most], f"… {len(items) - most} more"] if len(items) > most else list(items)


def visible(text: str) -> str:
    """A text on one line, in which every character that would not show is written out."""
    return "".join(
        character if character.isprintable() else "⏎" if character == "\n" else _escaped(character)
        for character in text
    )


def _escaped(character: str) -> str:
    return " " if character == "\t" else f"\\u{{{ord(character):x}}}"


def _units(value: float) -> str:
    return f"{value:.2f}" if 0 < abs(value) < 10 else f"{value:.0f}"  # noqa: PLR2004 - cents of small sums matter


def _difference(old: Data, new: Data) -> str:
    if isinstance(old, str) and isinstance(new, str):
        if inside := _of_documents(old, new):
            return inside
        if "\n" in old or "\n" in new:
            return _of_lines(old, new)
    if isinstance(old, list) and isinstance(new, list):
        return _of_lists(old, new)
    before, after = _flat(old), _flat(new)
    if len(before) > LONGEST or len(after) > LONGEST:
        before, after = _around_the_difference(before, after)
    return f"{before} → {after}"


def _of_documents(old: str, new: str) -> str:
    """What differs inside of two JSON objects, such as policies and dashboards; "" if they are none."""
    try:
        before, after = json.loads(old), json.loads(new)
    except (ValueError, RecursionError):
        return ""
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return ""
    found = [
        f"{change.path}: {_cut(_flat(change.old))} → {_cut(_flat(change.new))}"
        for change in differences(cast("dict[str, Any]", before), cast("dict[str, Any]", after))
    ]
    return "; ".join(shortened(found, LINES))


def _of_lines(old: str, new: str) -> str:
    """`+2 -1 lines: - old; + new`."""
    before = [] if old == ABSENT else old.splitlines()
    after = [] if new == ABSENT else new.splitlines()
    lines = [
        line
        for line in difflib.unified_diff(before, after, n=0, lineterm="")
        if not line.startswith(("---", "+++", "@@"))
    ]
    added = sum(line.startswith("+") for line in lines)
    shown = [f"{line[0]} {_cut(line[1:].strip())}" for line in lines]
    return f"+{added} -{len(lines) - added} lines: {' ⏎ '.join(shortened(shown, LINES))}"


def _of_lists(old: list[Any], new: list[Any]) -> str:
    gone = [f"- {_cut(_flat(item))}" for item in old if item not in new]
    come = [f"+ {_cut(_flat(item))}" for item in new if item not in old]
    return "; ".join(shortened([*gone, *come], LINES)) or "another order"


def _flat(value: Data) -> str:
    if isinstance(value, str):
        return value or '""'
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def _around_the_difference(old: str, new: str) -> tuple[str, str]:
    """Both without the beginning that they share but for a few characters, and cut."""
    same = next(
        (place for place, pair in enumerate(zip(old, new, strict=False)) if len({*pair}) > 1), len(old)
    )
    shared = max(0, same - _CONTEXT)
    mark = "…" if shared else ""
    return _cut(mark + old[shared:]), _cut(mark + new[shared:])


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
