"""What differs between a lock and what servers list now. Pure."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from services.kit.conventions import SERVER_NAME_SEPARATOR
from services.kit.pins import KINDS, Definition, Lock, Pinned, digest_of, skeleton

Key = tuple[str, str, str]
"""Server, kind, and the server's own name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One tool or prompt that isn't what the lock says.

    Attributes:
        key: Which one.
        how: In what way. "unclear" can't be approved.
        before: As it was approved, where it was.
        now: As it is listed, where it is.
        like: Others whose names look the same.
        problem: Why it is unclear.
    """

    key: Key
    how: Literal["changed", "added", "gone", "unclear"]
    before: Definition | None = None
    now: Definition | None = None
    like: tuple[str, ...] = ()
    problem: str = ""

    @property
    def name(self) -> str:
        """As callers have it."""
        return qualified(self.key)


def qualified(key: Key) -> str:
    """The name that callers have."""
    return f"{key[0]}{SERVER_NAME_SEPARATOR}{key[2]}"


def missing(servers: Mapping[str, Any]) -> dict[str, str]:
    """The servers that don't tell, and why."""
    return {name: it["problem"] for name, it in servers.items() if "problem" in it}


def changes(lock: Lock, servers: Mapping[str, Any]) -> list[Change]:
    """All of them, in a fixed order; what silent servers have approved isn't gone.

    Args:
        lock: What was approved.
        servers: What the gateway says that each lists.
    """
    approved = {(server, kind, name): it for server, kind, name, it in lock.entries()}
    listed = dict(_listed(servers))
    looks: dict[tuple[str, str], list[Key]] = {}
    for key in sorted({*approved, *listed}):
        looks.setdefault((key[1], skeleton(key[2])), []).append(key)
    found: list[Change] = []
    for key, entry in listed.items():
        before = approved.get(key)
        now: Definition | None = entry.get("definition")
        like = tuple(qualified(it) for it in looks[key[1], skeleton(key[2])] if it != key)
        if "problem" in entry or now is None:
            problem = str(entry.get("problem", "it has no definition"))
            found.append(Change(key=key, how="unclear", now=now, problem=problem))
        elif before is None:
            found.append(Change(key=key, how="added", now=now, like=like))
        elif digest_of(now) != before.sha256:
            found.append(Change(key=key, how="changed", before=before.definition, now=now))
    silent = missing(servers)
    found += [
        Change(key=key, how="gone", before=it.definition)
        for key, it in approved.items()
        if key not in listed and key[0] not in silent and key[1] in servers.get(key[0], KINDS)
    ]
    return sorted(found, key=lambda it: it.key)


def applied(lock: Lock, chosen: Collection[Change]) -> Lock:
    """The lock with these changes approved."""
    servers: dict[str, dict[str, dict[str, Pinned]]] = {}
    for server, kind, name, pinned in lock.entries():
        servers.setdefault(server, {}).setdefault(kind, {})[name] = pinned
    for it in chosen:
        server, kind, name = it.key
        if it.now is not None:
            servers.setdefault(server, {}).setdefault(kind, {})[name] = Pinned.of(it.now)
        else:
            del servers[server][kind][name]
    return Lock(servers)


def difference(before: Definition | None, now: Definition | None) -> Iterator[str]:
    """The lines of a definition, each with "+", "-" or " " before it; what can't be seen is escaped."""
    lines = difflib.unified_diff(_lines(before), _lines(now), lineterm="", n=2)
    yield from (line for line in lines if not line.startswith(("---", "+++", "@@")))


def visible(text: str) -> str:
    """Text as a terminal can show it without doing anything else."""
    return "".join(it if it.isprintable() and not _is_selector(it) else json.dumps(it)[1:-1] for it in text)


def _listed(servers: Mapping[str, Any]) -> Iterator[tuple[Key, Mapping[str, Any]]]:
    for server, kinds in servers.items():
        for kind in KINDS:
            for name, entry in kinds.get(kind, {}).items():
                yield (server, kind, name), entry


def _lines(definition: Definition | None) -> list[str]:
    """A text a line, so that a change of one line shows as one."""
    found: list[str] = []
    for field, value in sorted((definition or {}).items()):
        if isinstance(value, str):
            first, *rest = value.split("\n")
            found += [f"{field}: {visible(first)}", *(f"    {visible(line)}" for line in rest)]
        else:
            text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
            first, *rest = text.split("\n")
            found += [f"{field}: {visible(first)}", *(f"    {visible(line)}" for line in rest)]
    return found


def _is_selector(character: str) -> bool:
    return "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"
