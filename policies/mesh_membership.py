"""Which namespaces are in a mesh and how, and what the mesh itself brings along."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from policies.matching import every, matches_labels
from policies.node import Node
from policies.objects import KubernetesObject, Name, Stack, same_name

AMBIENT_LABEL: Final = "istio.io/dataplane-mode"
SIDECAR_LABEL: Final = "istio-injection"
REVISION_LABEL: Final = "istio.io/rev"
WAYPOINT_LABEL: Final = "istio.io/use-waypoint"
TUNNEL_PORT: Final = 15008
"""By which traffic comes in an ambient mesh; authorization policies alone judge what is inside."""

_GATEWAY: Final = "Gateway.gateway.networking.k8s.io"
_PROBES: Final = ("169.254.7.127/32", "fd16:9254:7127:1337:ffff:ffff:ffff:ffff/128")


def is_ambient(space: KubernetesObject) -> bool | None:
    """Whether the nodes' proxies take a namespace's traffic."""
    label = space.labels.key(AMBIENT_LABEL)
    return None if label.unknown else label.value == "ambient"


def has_sidecars(space: KubernetesObject) -> bool | None:
    """Whether a namespace's pods have proxies of their own."""
    label, revision = space.labels.key(SIDECAR_LABEL), space.labels.key(REVISION_LABEL)
    if label.unknown or (label.absent and revision.unknown):
        return None
    by_revision = not revision.absent and label.absent and is_ambient(space) is False
    return label.value == "enabled" or by_revision


def spaces(stack: Stack, *, ambient: bool = False) -> Iterator[KubernetesObject]:
    """The namespaces that are, or may be, in the mesh; or those with an ambient mesh."""
    for space in stack.of_kind("Namespace"):
        if is_ambient(space) is not False or (not ambient and has_sidecars(space) is not False):
            yield space


def is_tunnel(rule: Node, namespace: Name, stack: Stack) -> bool:
    """Whether a network policy's rule only opens the tunnel of a namespace in an ambient mesh."""
    ports = rule.key("ports").items()
    return (
        bool(ports)
        and all(port.key("port").value == TUNNEL_PORT for port in ports)
        and any(
            same_name(space.name, namespace) and is_ambient(space) for space in spaces(stack, ambient=True)
        )
    )


def is_probe(peer: Node) -> bool:
    """Whether a network policy's peer is the kubelet, as pods of an ambient mesh see it."""
    return peer.at("ipBlock.cidr").value in _PROBES


def matches_proxies(wanted: Node, namespace: Name, stack: Stack) -> Iterator[bool | None]:
    """For each Gateway, whether the labels of what is made for it are among those of a selector."""
    for gateway in stack.of_kind(_GATEWAY):
        made = gateway.node.at("spec.infrastructure.labels")
        labels = wanted.at("matchLabels")
        yield every(
            [
                same_name(gateway.namespace, namespace),
                not made.absent,
                None if wanted.unknown else bool(labels.value),
                matches_labels(labels, made),
            ]
        )
