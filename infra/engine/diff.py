"""What differs between two versions of a Kubernetes object, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from infra.engine.graph import Data

ABSENT: Final = "(none)"

# What the server keeps for itself; it differs between any two versions.
_SERVER_FIELDS: Final = frozenset(
    {"managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink"}
)

_IN_ORDER: Final = "initContainers"
"""Named items of which each runs after the one before."""


@dataclass(frozen=True, slots=True)
class Change:
    """One field that differs.

    Attributes:
        path: Such as `spec.template.spec.containers[gateway].image`.
        old: The value before, `(none)` for a field that is new.
        new: The value after, `(none)` for a field that goes.
    """

    path: str
    old: Data
    new: Data

    def __str__(self) -> str:
        return f"{self.path}: {_shown(self.old)} → {_shown(self.new)}"


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Change, ...]:
    """The fields in which two versions differ; a Secret's values are compared, never shown."""
    found = tuple(_compare(_comparable(old), _comparable(new), ""))
    return tuple(map(_hidden, found)) if old["kind"] == "Secret" else found


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Change, ...]:
    """The fields in which any two values differ, with secrets in them: never to be shown as they are."""
    return tuple(_compare(old, new, ""))


def _comparable(body: Mapping[str, Any]) -> dict[str, Data]:
    kept = {key: value for key, value in body.items() if key != "status"}
    kept["metadata"] = {key: value for key, value in body["metadata"].items() if key not in _SERVER_FIELDS}
    return kept


def _hidden(change: Change) -> Change:
    """Without values, if they are a Secret's."""
    if not change.path.startswith(("data", "stringData")):
        return change
    old, new = change.old, change.new
    return Change(
        change.path,
        ABSENT if old == ABSENT else "(secret)",
        ABSENT if new == ABSENT else "(another secret)",
    )


def _compare(old: Data, new: Data, path: str) -> Iterator[Change]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        yield from _compare_keys(
            cast("Mapping[str, Any]", old), cast("Mapping[str, Any]", new), path, "{}.{}"
        )
    elif isinstance(old, list) and isinstance(new, list):
        yield from _compare_lists(cast("list[Any]", old), cast("list[Any]", new), path)
    elif old != new:
        yield Change(path, old, new)


def _compare_keys(old: Mapping[str, Any], new: Mapping[str, Any], path: str, form: str) -> Iterator[Change]:
    for key in sorted({*old, *new}):
        inner = form.format(path, key) if path else key
        yield from _compare(old.get(key, ABSENT), new.get(key, ABSENT), inner)


def _compare_lists(old: list[Any], new: list[Any], path: str) -> Iterator[Change]:
    """By name where every item has one, as containers do; else whole where the lengths differ."""
    named_old, named_new = _by_name(old), _by_name(new)
    if named_old is not None and named_new is not None:
        yield from _compare_keys(named_old, named_new, path, "{}[{}]")
        before, after = list(named_old), list(named_new)
        if path.endswith(_IN_ORDER) and before != after and set(before) == set(after):
            yield Change(path, before, after)
    elif len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _compare(before, after, f"{path}[{index}]")
    else:
        yield Change(path, old, new)


def _by_name(items: list[Any]) -> dict[str, Any] | None:
    if not all(isinstance(item, Mapping) and isinstance(item.get("name"), str) for item in items):
        return None
    named = {str(item["name"]): item for item in items}
    return named if len(named) == len(items) else None


def _shown(value: Data) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    if not text:
        return '""'
    return text if "\n" not in text else f"{len(text.splitlines())} lines"
