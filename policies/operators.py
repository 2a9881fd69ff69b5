"""Pods that operators make: a program declares what they are made of, not the pods."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from policies.matching import every, matches_selector
from policies.node import Node
from policies.objects import KubernetesObject, Name, Stack, same_name

CNPG: Final = "Cluster.postgresql.cnpg.io"


def managed_labels(owner: KubernetesObject) -> Node:
    """The labels of the pods that CloudNativePG makes of a Cluster."""
    inherited = owner.node.at("spec.inheritedMetadata.labels")
    if inherited.unknown:
        return inherited
    own = {"cnpg.io/cluster": owner.name, "cnpg.io/podRole": "instance"}
    return Node({**(inherited.value or {}), **own}, inherited.path)


def matches_managed(selector: Node, namespace: Name, stack: Stack) -> Iterator[bool | None]:
    """Whether a selector in a namespace takes the pods of each Cluster."""
    for owner in stack.of_kind(CNPG):
        yield every(
            [same_name(owner.namespace, namespace), matches_selector(selector, managed_labels(owner))]
        )
