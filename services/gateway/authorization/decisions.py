"""What a policy means for one caller: which names are there for them, and which scopes each needs."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Protocol, TypeVar

from services.gateway.authorization.matching import Kind, Matcher, canonical, matcher
from services.gateway.authorization.model import EVERYBODY, Group, Policy, Rule
from services.kit.tokens import Principal

MAX_CALLERS: Final = 10_000
MAX_VIEWS: Final = 64
MAX_DECISIONS: Final = 4096
LONGEST_NAME: Final = 512
"""Bounds of what is remembered: callers choose the names that are decided about."""


_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether something is there for a caller, and what it needs besides the method's scope."""

    allowed: bool
    scopes: frozenset[str] = frozenset()
    asks: bool | None = None
    """Whether a tool needs approval; None where its annotations decide."""


DENIED: Final = Decision(allowed=False)
ALLOWED: Final = Decision(allowed=True)


class View(Protocol):
    """What there is for one caller."""

    @property
    def restricted(self) -> bool:
        """Whether others may see something else."""
        ...

    @property
    def groups(self) -> frozenset[str]:
        """The policy's groups that the caller is in."""
        ...

    def decide(self, kind: Kind, server: str, name: str) -> Decision:
        """About a tool, resource or prompt by the name that its server gives it."""
        ...

    def sees(self, server: str, kind: Kind | None = None) -> bool:
        """Whether anything of the server (of this kind) may be there."""
        ...

    def same_as(self, other: "View") -> bool:
        """Whether both let the caller see the same."""
        ...


class Unrestricted:
    """The view where no policy is configured."""

    restricted = False
    groups: frozenset[str] = frozenset()

    def decide(self, kind: Kind, server: str, name: str) -> Decision:  # noqa: ARG002 - see View
        """Everything is there."""
        return ALLOWED

    def sees(self, server: str, kind: Kind | None = None) -> bool:  # noqa: ARG002 - see View
        """So is every server."""
        return True

    def same_as(self, other: View) -> bool:
        """There is only one such view."""
        return other is self


UNRESTRICTED: Final = Unrestricted()


@dataclass(frozen=True, slots=True)
class _Rule:
    """A rule, ready to match."""

    source: Rule
    servers: Matcher
    names: dict[Kind, Matcher]
    scopes: frozenset[str]

    def applies(self, kind: Kind, server: str, name: str) -> bool:
        return self.servers(server) and self.names[kind](name)


class RuleView:
    """The rules that concern one caller."""

    restricted = True

    def __init__(
        self, rules: Iterable[_Rule], scopes: frozenset[str], groups: frozenset[str] = frozenset()
    ) -> None:
        rules = tuple(rules)
        self.groups = groups
        self.meaning = tuple(rule.source for rule in rules), scopes
        self._allow = tuple(rule for rule in rules if rule.source.effect == "allow")
        self._ask = tuple(rule for rule in rules if rule.source.effect == "ask")
        self._deny = tuple(rule for rule in rules if rule.source.effect == "deny")
        self._scopes = scopes
        self._decisions: dict[tuple[Kind, str, str], Decision] = {}

    def sees(self, server: str, kind: Kind | None = None) -> bool:
        """Whether any rule allows something of the server."""
        return any(
            rule.servers(server) and (kind is None or getattr(rule.source, kind)) for rule in self._allow
        )

    def same_as(self, other: View) -> bool:
        """Whether the same rules concern both, and both have the same scopes."""
        return isinstance(other, RuleView) and self.meaning == other.meaning

    def decide(self, kind: Kind, server: str, name: str) -> Decision:
        """Denied when any rule denies it, or none allows it."""
        key = (kind, server, name)
        found = self._decisions.get(key)
        if found is None:
            found = self._decide(kind, server, name)
            if len(name) <= LONGEST_NAME:
                _remember(self._decisions, key, found, MAX_DECISIONS)
        return found

    def _decide(self, kind: Kind, server: str, name: str) -> Decision:
        known = _canonical(name) if kind is Kind.RESOURCE else name
        if known is None or any(rule.applies(kind, server, known) for rule in self._deny):
            return DENIED
        allowing = [rule for rule in self._allow if rule.applies(kind, server, known)]
        if not allowing:
            return DENIED
        # One rule that the caller satisfies is enough; else the one that asks for the fewest more is named.
        best = min((rule.scopes for rule in allowing), key=lambda scopes: len(scopes - self._scopes))
        return Decision(allowed=True, scopes=best, asks=self._asks(kind, server, known, allowing))

    def _asks(self, kind: Kind, server: str, name: str, allowing: list[_Rule]) -> bool | None:
        if any(rule.applies(kind, server, name) for rule in self._ask):
            return True
        # A rule that the caller doesn't satisfy waives nothing for it.
        waived = any(rule.source.approval == "waived" and rule.scopes <= self._scopes for rule in allowing)
        return False if waived else None


class Rulebook:
    """A policy, compiled. Callers of the same groups and scopes share a view."""

    def __init__(self, policy: Policy) -> None:
        self._groups = {name: _Group(group) for name, group in policy.groups.items()}
        self._rules = [
            _Rule(
                source=rule,
                servers=matcher(rule.servers),
                names={kind: matcher(getattr(rule, kind)) for kind in Kind},
                scopes=frozenset(rule.scopes),
            )
            for rule in policy.rules
        ]
        self._callers: dict[Principal, tuple[Principal, View]] = {}
        self._views: dict[tuple[frozenset[str], frozenset[str]], View] = {}

    @property
    def size(self) -> int:
        """How many rules there are."""
        return len(self._rules)

    def enter(self, principal: Principal) -> tuple[Principal, View]:
        """The caller with the scopes that their groups add, and what there is for them."""
        found = self._callers.get(principal)
        if found is None:
            groups = frozenset(name for name, group in self._groups.items() if group.has(principal))
            scopes = principal.scopes.union(*(self._groups[name].scopes for name in groups))
            found = (replace(principal, scopes=scopes), self._view(groups, scopes))
            _remember(self._callers, principal, found, MAX_CALLERS)
        return found

    def _view(self, groups: frozenset[str], scopes: frozenset[str]) -> View:
        view = self._views.get((groups, scopes))
        if view is None:
            concerned = groups | {EVERYBODY}
            rules = [rule for rule in self._rules if not concerned.isdisjoint(rule.source.groups)]
            view = RuleView(rules, scopes, groups)
            _remember(self._views, (groups, scopes), view, MAX_VIEWS)
        return view


class _Group:
    """A group, ready to tell who belongs to it."""

    def __init__(self, group: Group) -> None:
        self.scopes = frozenset(group.scopes)
        self._members = [
            (
                member.issuer,
                None if member.subject is None else matcher([member.subject]),
                [{(claim, value) for value in values} for claim, values in member.claims.items()],
            )
            for member in group.members
        ]

    def has(self, principal: Principal) -> bool:
        return any(
            (issuer is None or issuer == principal.issuer)
            and (subject is None or subject(principal.subject))
            and all(not principal.claims.isdisjoint(wanted) for wanted in claims)
            for issuer, subject, claims in self._members
        )


def _remember(known: dict[_Key, _Value], key: _Key, value: _Value, most: int) -> None:
    if len(known) >= most:
        del known[next(iter(known))]
    known[key] = value


def _canonical(uri: str) -> str | None:
    try:
        return canonical(uri)
    except UnicodeDecodeError:
        return None
