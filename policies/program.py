"""Resources as a Pulumi program declares them: what plain manifests can't show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from policies.node import Node

STACK_TYPE: Final = "pulumi:pulumi:Stack"
_PROVIDERS: Final = "pulumi:providers:"
_NONE: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Resource:
    """One resource, of Kubernetes, of a cloud, or a component.

    Attributes:
        type: Type token, such as `aws:s3/bucket:Bucket`.
        name: The program's name of it.
        urn: Its URN.
        node: Its properties.
        protect: Whether Pulumi refuses to delete it.
        provider: Name of its provider, "" where none is known.
        parent: URN of its parent, "" where that is the stack itself.
        dependencies: URNs of what is made before it.
        property_dependencies: URNs that a property was computed from.
    """

    type: str
    name: str
    urn: str
    node: Node
    protect: bool = False
    provider: str = ""
    parent: str = ""
    dependencies: frozenset[str] = _NONE
    property_dependencies: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])

    @property
    def label(self) -> str:
        """`Bucket backups`."""
        return f"{self.type.rpartition(':')[2]} {self.name}"

    @property
    def origin(self) -> str:
        """Where it was declared."""
        return self.urn

    @property
    def package(self) -> str:
        """The provider's package: `aws`, `kubernetes`, `pulumi`."""
        return self.type.partition(":")[0]

    @property
    def is_provider(self) -> bool:
        """It is a provider itself."""
        return self.type.startswith(_PROVIDERS)

    def belongs_to(self, other: Resource, field_name: str) -> bool | None:
        """Whether a field names `other`, by where it was computed from or by its value; None when unknown."""
        if other.urn in self.property_dependencies.get(field_name, _NONE):
            return True
        reference, own = self.node.key(field_name), other.node.key(field_name)
        if reference.unknown or own.unknown:
            return None
        return reference.value is not None and reference.value == own.value


def made_before(resource: Resource, resources: Mapping[str, Resource]) -> frozenset[str]:
    """URNs of all that is made before a resource: its dependencies, theirs, and its parents'."""
    found: set[str] = set()
    visited: set[str] = set()
    waiting = [resource.urn]
    while waiting:
        item = resources.get(waiting.pop())
        if item is None or item.urn in visited:
            continue
        visited.add(item.urn)
        before = item.dependencies.union(*item.property_dependencies.values())
        found |= before
        waiting += [*before, item.parent]  # what a component depends on is made before its children
    return frozenset(found)
