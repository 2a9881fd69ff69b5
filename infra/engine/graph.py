"""A program's resources as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Any, Final, Self, TypeAlias

Data: TypeAlias = Any
"""JSON-like data whose shape Kubernetes and Pulumi define; in a graph with `UNKNOWN` and `Secret` inside."""


class Unknown:
    """The one value that stands for what only a deployment can tell (`UNKNOWN`)."""

    _instance: Self | None = None

    def __new__(cls) -> Self:
        """Return the one instance."""
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that must not be shown; `repr` hides it."""

    value: Any

    def __repr__(self) -> str:
        return "Secret(…)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Resource:
    """One registered resource.

    Attributes:
        type: Type token, such as `kubernetes:apps/v1:Deployment` or `mcp:service:Gateway`.
        name: Pulumi's logical name.
        urn: `urn:pulumi:STACK::PROJECT::PARENT_TYPE$TYPE::NAME`.
        inputs: Wire-level inputs (camelCase keys; whole numbers are int), with `UNKNOWN` and `Secret` inside.
        outputs: What the program was given back.
        custom: False for a component.
        parent: URN of the parent, or "" for what stands directly in the stack.
        dependencies: URNs.
        property_dependencies: URNs that each input was computed from.
        provider: Provider reference, `URN::ID`, or "".
        options: protect, retainOnDelete, aliases, ignoreChanges, replaceOnChanges, deletedWith, remote as far
            as set.
        source: The line of the program that declares it, as `infra/components/gateway.py:87`, or "".
    """

    type: str
    name: str
    urn: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    custom: bool = True
    parent: str = ""
    dependencies: tuple[str, ...] = ()
    property_dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    provider: str = ""
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    source: str = ""


@dataclass(frozen=True, slots=True)
class Graph:
    """All resources of one evaluated stack, as `ordered` puts them, and the stack's outputs."""

    project: str
    stack: str
    resources: tuple[Resource, ...]
    outputs: Mapping[str, Any]

    def by_type(self, type_: str) -> dict[str, Resource]:
        """The resources of one type token, by logical name."""
        return {resource.name: resource for resource in self.resources if resource.type == type_}

    def kubernetes_objects(self) -> Iterator[Resource]:
        """Every resource that is a Kubernetes object (not the provider, not a component)."""
        for resource in self.resources:
            if resource.custom and resource.type.startswith("kubernetes:"):
                yield resource


def ordered(resources: Iterable[Resource]) -> tuple[Resource, ...]:
    """Each resource after its parent, its provider and its dependencies; where those leave a choice, by URN.

    The order of registration is not the same each time: it depends on which output was resolved first.
    """
    by_urn = {resource.urn: resource for resource in resources}
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for resource in by_urn.values():
        provider = resource.provider.rpartition("::")[0]
        before = {resource.parent, provider, *resource.dependencies} & by_urn.keys()
        sorter.add(resource.urn, *before - {resource.urn})
    sorter.prepare()
    found: list[Resource] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        found += (by_urn[urn] for urn in ready)
        sorter.done(*ready)
    return tuple(found)
