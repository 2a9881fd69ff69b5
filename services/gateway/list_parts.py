"""One server's part of a list: its items under the names that callers know, and what it says of them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from services.gateway.authorization import Kind
from services.gateway.cache.hinted import is_public, ttl_ms_of
from services.gateway.cache.rules import Rule, Rules
from services.gateway.messages import RawObject, decode_objects, decode_text, encode, raw
from services.gateway.names import Names
from services.gateway.tasks.declared import task_support
from services.gateway.tool_hints import CONTRADICTION, Hints, hints_of


@dataclass(frozen=True, slots=True)
class ListKind:
    """How one list method names its items."""

    items: str
    key: str
    """The item's field that is its identity and gets the server's name."""
    kind: Kind


LISTS: Final = {
    "tools/list": ListKind("tools", "name", Kind.TOOL),
    "prompts/list": ListKind("prompts", "name", Kind.PROMPT),
    "resources/list": ListKind("resources", "uri", Kind.RESOURCE),
    "resources/templates/list": ListKind("resourceTemplates", "uriTemplate", Kind.RESOURCE),
}


@dataclass(slots=True)
class Part:
    """One server's part of a list. It may be kept and shown to many callers, so its items aren't changed."""

    items: dict[str, RawObject] = field(default_factory=dict[str, RawObject])
    """By qualified identity."""
    ttl_ms: int | None = None
    """The shortest of its pages; None until there is one."""
    public: bool = True
    repeatable: set[str] = field(default_factory=set[str])
    """Tools, by the server's own names, that may be called again when it is unknown if they ran."""
    hints: dict[str, Hints] = field(default_factory=dict[str, Hints])
    """What the server says of its tools, likewise."""
    cache_rules: dict[str, Rule] = field(default_factory=dict[str, Rule])
    """Tools, likewise, whose results may be kept as the server says."""
    task_tools: dict[str, str] = field(default_factory=dict[str, str])
    """Tools, likewise, that the server declares as ones for tasks."""
    problem: str | None = None


class _Kept(msgspec.Struct):
    """A part as a blob."""

    public: bool
    items: list[RawObject]


_kept: Final = msgspec.json.Decoder(_Kept)


class PartReader:
    """Makes parts of what servers answer, and of what was kept of them."""

    def __init__(self, names: Names, rules: Rules) -> None:
        self.names = names
        self._rules = rules

    def add_page(self, part: Part, server: str, page: RawObject, kind: ListKind) -> None:
        """Add a page of a server's list; raises KeyError or a decode error where it isn't one."""
        qualify = self.names.qualify_uri if kind.kind is Kind.RESOURCE else self.names.qualify
        items = decode_objects(page[kind.items])
        for item in items:
            item[kind.key] = raw(qualify(server, decode_text(item[kind.key])))
        self._add(part, server, items, kind)
        ttl = ttl_ms_of(page)
        part.ttl_ms = ttl if part.ttl_ms is None else min(part.ttl_ms, ttl)
        part.public = part.public and is_public(page)

    def read(self, blob: bytes, server: str, kind: ListKind) -> Part:
        """The part that `write` wrote; raises a decode error where it is none."""
        kept = _kept.decode(blob)
        part = Part(public=kept.public)
        self._add(part, server, kept.items, kind)
        return part

    def write(self, part: Part) -> bytes:
        """A part that is kept; the rest follows from its items."""
        return encode(_Kept(public=part.public, items=list(part.items.values())))

    def _add(self, part: Part, server: str, items: Iterable[RawObject], kind: ListKind) -> None:
        for item in items:
            qualified = decode_text(item[kind.key])
            part.items.setdefault(qualified, item)
            if kind.kind is not Kind.TOOL:
                continue
            _, tool = self.names.split(qualified)
            self._add_hints(part, tool, hints_of(item))
            if self._rules.trusts(server) and (rule := self._rules.hint(item)):
                part.cache_rules[tool] = rule
            if (support := task_support(item)) is not None:
                part.task_tools[tool] = support

    def _add_hints(self, part: Part, tool: str, hints: Hints) -> None:
        before = part.hints.setdefault(tool, hints)
        if before != hints:
            part.hints[tool] = CONTRADICTION
            part.ttl_ms = 0  # what is kept of a list has each tool once, and couldn't tell
        if part.hints[tool].repeatable:
            part.repeatable.add(tool)
        else:
            part.repeatable.discard(tool)
