"""Pods and NetworkPolicies as far as they decide who may talk to whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Object = Mapping[str, Any]
Direction = Literal["Ingress", "Egress"]
DIRECTIONS: tuple[Direction, ...] = ("Ingress", "Egress")

_ENDED = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod with a network of its own.

    Attributes:
        namespace: Its namespace.
        name: Its name.
        labels: Its labels.
        address: Its IPv4 address; empty while it has none.
        ports: Named ports: name → protocol and number.
    """

    namespace: str
    name: str
    labels: Mapping[str, str]
    address: str
    ports: Mapping[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])


def pod_of(content: Object) -> Pod | None:
    """A pod of the API; None for one with the node's network or that has ended: no policy concerns it."""
    spec, status = content["spec"], content.get("status") or {}
    if spec.get("hostNetwork") or status.get("phase") in _ENDED:
        return None
    metadata = content["metadata"]
    return Pod(
        namespace=metadata["namespace"],
        name=metadata["name"],
        labels=metadata.get("labels") or {},
        address=status.get("podIP") or "",
        ports=named_ports(spec),
    )


def named_ports(spec: Object) -> dict[str, tuple[str, int]]:
    """The named ports of a pod's containers and sidecars."""
    containers: Iterable[Object] = [*(spec.get("initContainers") or []), *spec["containers"]]
    return {
        port["name"]: (port.get("protocol") or "TCP", port["containerPort"])
        for container in containers
        for port in container.get("ports") or []
        if port.get("name")
    }


def directions_of(policy: Object) -> tuple[Direction, ...]:
    """What a policy restricts: its `policyTypes`, else ingress, and egress where it has rules for it."""
    spec = policy["spec"]
    given = spec.get("policyTypes")
    if given:
        return tuple(direction for direction in DIRECTIONS if direction in given)
    return DIRECTIONS if spec.get("egress") else ("Ingress",)


def rules_of(policy: Object, direction: Direction) -> list[Object]:
    """The rules of one direction; none means that nothing is allowed."""
    return policy["spec"].get(direction.lower()) or []


def peers_of(rule: Object, direction: Direction) -> list[Object]:
    """Whom a rule lets in or out to; none means everybody."""
    return rule.get("from" if direction == "Ingress" else "to") or []
