"""What happens to each object between two revisions of a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from infra.comparison.matching import ObjectName, Pair, object_name, pairs, provider_urn, providers_of
from infra.comparison.protection import is_protected, references
from infra.comparison.redaction import marked, redacted
from infra.comparison.replacement import ANOTHER_PLACE, MOVED, is_known, reasons, touches, works_elsewhere
from infra.engine.diff import Change, differences
from infra.engine.graph import Graph, Resource

RETAINED: Final = "stays where it is, and is no longer managed"
PROTECTED_BY_PULUMI: Final = "Pulumi refuses while `protect` is set"
IN_PLACE_OR_NOT: Final = "whether it can change in place, only `pulumi preview` can tell"

_PROVIDER_NOISE: Final = frozenset({"version", "pluginDownloadURL"})


class Operation(StrEnum):
    """What happens to an object."""

    CREATE = "create"
    CHANGE = "change"
    REPLACE = "replace"
    DELETE = "delete"


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectChange:
    """What happens to one object.

    Attributes:
        operation: What happens.
        name: The object.
        reference: How it is acknowledged, `KIND/NAME`.
        full_reference: The same where two have that name.
        urn: Its URN, the new one where there is one.
        old_urn: The URN that it had, or "".
        changes: The fields that differ, without secrets.
        reasons: For what it is replaced.
        guarded: Whether its end must be acknowledged.
        note: What one should know besides.
        source: The line that declares it, in its newest revision.
    """

    operation: Operation
    name: ObjectName
    reference: str
    full_reference: str
    urn: str
    old_urn: str
    changes: tuple[Change, ...] = ()
    reasons: tuple[str, ...] = ()
    guarded: bool = False
    note: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two revisions, object by object.

    Attributes:
        changes: What does not stay as it is, in order of creation; what is deleted comes last.
        unchanged: How many objects stay as they are.
        new_urns: What became of the old URNs of all objects that are still there.
    """

    changes: tuple[ObjectChange, ...]
    unchanged: int
    new_urns: Mapping[str, str]


def compare(old: Graph, new: Graph) -> Comparison:
    """Compare two evaluated revisions of a stack."""
    places = _Places.of(old, new)
    found: list[ObjectChange] = []
    unchanged = 0
    new_urns: dict[str, str] = {}
    for pair in places.pairs:
        if pair.old and pair.new:
            new_urns[pair.old.urn] = pair.new.urn
        change = _change(pair, places)
        if change:
            found.append(change)
        else:
            unchanged += 1
    return Comparison(tuple(found), unchanged, new_urns)


@dataclass(frozen=True, slots=True)
class _Places:
    """The pairs, and the providers by which objects are named."""

    pairs: Sequence[Pair]
    old: Mapping[str, Resource]
    new: Mapping[str, Resource]
    elsewhere: frozenset[str]
    """URNs of providers, the new ones, that work in another place now."""

    @classmethod
    def of(cls, old: Graph, new: Graph) -> _Places:
        paired = pairs(old, new)
        before, after = providers_of(old), providers_of(new)
        elsewhere = frozenset(
            pair.new.urn
            for pair in paired
            if pair.old and pair.new and pair.new.urn in after and works_elsewhere(pair.old, pair.new)
        )
        return cls(paired, before, after, elsewhere)


def _change(pair: Pair, places: _Places) -> ObjectChange | None:
    if pair.new is None:
        assert pair.old is not None  # noqa: S101 - a pair has at least one side
        return _gone(pair.old, places)
    if pair.old is None:
        return _made(Operation.CREATE, pair.new, object_name(pair.new, places.new))
    return _kept(pair.old, pair.new, places, moved=pair.moved)


def _gone(old: Resource, places: _Places) -> ObjectChange:
    name = object_name(old, places.old)
    return _made(
        Operation.DELETE, old, name, guarded=is_protected(old, name), note=_note_on_loss(old), old=old
    )


def _kept(old: Resource, new: Resource, places: _Places, *, moved: bool) -> ObjectChange | None:
    changes = _differences(old, new)
    why = list(reasons(old, new, changes))
    if moved:
        why.append(MOVED)
    if new.urn in places.elsewhere or provider_urn(new) in places.elsewhere:
        why.append(ANOTHER_PLACE)
    if not changes and not why:
        return None
    name = object_name(new, places.new)
    visible = tuple(redacted(change, new) for change in changes)
    if not why:
        note = "" if is_known(new.type) else IN_PLACE_OR_NOT
        return _made(Operation.CHANGE, new, name, changes=visible, note=note, old=old)
    before = object_name(old, places.old)
    return _made(
        Operation.REPLACE,
        new,
        before,  # what is lost, and so what is acknowledged, is the one that is there now
        changes=visible,
        why=tuple(why),
        guarded=is_protected(old, before),
        note=_note_on_loss(old),
        old=old,
    )


def _differences(old: Resource, new: Resource) -> tuple[Change, ...]:
    """The fields that differ and that Pulumi would change."""
    ignored = [str(path) for path in new.options.get("ignoreChanges", ())]
    if new.type.startswith("pulumi:providers:"):
        ignored += _PROVIDER_NOISE
    found = differences(marked(old.inputs), marked(new.inputs))
    return tuple(item for item in found if not any(_below(item.path, path) for path in ignored))


def _below(path: str, field: str) -> bool:
    return touches(path, field) and len(path) >= len(field)


def _made(
    operation: Operation,
    resource: Resource,
    name: ObjectName,
    *,
    changes: tuple[Change, ...] = (),
    why: tuple[str, ...] = (),
    guarded: bool = False,
    note: str = "",
    old: Resource | None = None,
) -> ObjectChange:
    short, full = references(resource, name)
    return ObjectChange(
        operation=operation,
        name=name,
        reference=short,
        full_reference=full,
        urn=resource.urn,
        old_urn=old.urn if old else "",
        changes=changes,
        reasons=why,
        guarded=guarded,
        note=note,
        source=resource.source,
    )


def _note_on_loss(old: Resource) -> str:
    if old.options.get("protect"):
        return PROTECTED_BY_PULUMI
    return RETAINED if old.options.get("retainOnDelete") else ""
