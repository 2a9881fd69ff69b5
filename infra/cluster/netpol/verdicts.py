"""What the policies let through: per pod and direction, peers and ports.

https://kubernetes.io/docs/concepts/services-networking/network-policies/: a pod that a policy selects is
isolated in that direction, and what any of its policies allows is allowed. A connection needs both ends'
permission.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from infra.cluster.netpol.model import Direction, Object, Pod, directions_of, peers_of, rules_of
from infra.cluster.netpol.selectors import selects


@dataclass(frozen=True, slots=True)
class Ports:
    """A range of ports of one protocol; 1 to 65535 for all."""

    protocol: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Permission:
    """Peers, and the ports that they may use (of the pod for ingress, of the peer for egress).

    Attributes:
        networks: CIDRs of the peers; None for everybody.
        ports: None for every port of every protocol.
    """

    networks: frozenset[str] | None
    ports: frozenset[Ports] | None


class Policies:
    """The policies of a cluster, with the pods and namespaces that their selectors are about."""

    def __init__(
        self,
        policies: Iterable[Object],
        pods: Sequence[Pod],
        namespaces: Mapping[str, Mapping[str, str]],
    ) -> None:
        """Take a snapshot.

        Args:
            policies: NetworkPolicies of networking.k8s.io/v1.
            pods: All pods that policies may concern.
            namespaces: Labels of every namespace, by name.
        """
        self._policies = list(policies)
        self._pods = pods
        self._namespaces = namespaces

    def permissions(self, pod: Pod, direction: Direction) -> set[Permission] | None:
        """What a pod is allowed; None where no policy isolates it in this direction."""
        policies = [
            policy
            for policy in self._policies
            if policy["metadata"]["namespace"] == pod.namespace
            and direction in directions_of(policy)
            and selects(policy["spec"].get("podSelector") or {}, pod.labels)
        ]
        if not policies:
            return None
        return {
            permission
            for policy in policies
            for rule in rules_of(policy, direction)
            for permission in self._of_rule(rule, direction, pod)
        }

    def _of_rule(self, rule: Object, direction: Direction, pod: Pod) -> Iterable[Permission]:
        peers = peers_of(rule, direction)
        ports: list[Object] = rule.get("ports") or []
        named = any(isinstance(port.get("port"), str) for port in ports)
        if direction == "Egress" and named:
            # A name means the peer's own port, so each pod that may be meant gets a permission of its own.
            for peer in self._pods:
                if peer.address and (not peers or any(self._is(peer, it, pod) for it in peers)):
                    yield Permission(frozenset({f"{peer.address}/32"}), _resolved(ports, peer))
            return
        allowed = _resolved(ports, pod) if ports else None
        if not peers:
            yield Permission(None, allowed)
        for peer in peers:
            yield Permission(frozenset(self._networks(peer, pod)), allowed)

    def _networks(self, peer: Object, pod: Pod) -> Iterable[str]:
        block = peer.get("ipBlock")
        if block is None:
            return (f"{it.address}/32" for it in self._pods if it.address and self._is(it, peer, pod))
        if ":" in block["cidr"]:
            return ()  # the node speaks IPv4 only
        return without(block["cidr"], [it for it in block.get("except") or [] if ":" not in it])

    def _is(self, candidate: Pod, peer: Object, pod: Pod) -> bool:
        """Whether a pod is one that a peer's selectors mean."""
        if "ipBlock" in peer:
            return False
        namespaces = peer.get("namespaceSelector")
        if namespaces is None:
            if candidate.namespace != pod.namespace:
                return False
        elif not selects(namespaces, self._namespaces.get(candidate.namespace, {})):
            return False
        return selects(peer.get("podSelector") or {}, candidate.labels)


def without(cidr: str, exceptions: Iterable[str]) -> list[str]:
    """A network less parts of it, as the networks that remain."""
    remaining = [ip_network(cidr, strict=False)]
    for exception in (ip_network(it, strict=False) for it in exceptions):
        parts = remaining
        remaining = []
        for part in parts:
            if part.version != exception.version or not part.overlaps(exception):
                remaining.append(part)
            elif part != exception and exception.subnet_of(part):  # pyright: ignore[reportArgumentType] - same version
                remaining.extend(part.address_exclude(exception))  # pyright: ignore[reportArgumentType] - as above
    return [str(it) for it in sorted(remaining)]  # pyright: ignore[reportArgumentType] - as above


def _resolved(ports: Iterable[Object], owner: Pod) -> frozenset[Ports]:
    """Ports by number; a name that `owner` doesn't have stands for none."""
    found: set[Ports] = set()
    for port in ports:
        protocol, wanted = port.get("protocol") or "TCP", port.get("port")
        if wanted is None:
            found.add(Ports(protocol, 1, 65535))
        elif isinstance(wanted, int):
            found.add(Ports(protocol, wanted, port.get("endPort") or wanted))
        elif owner.ports.get(wanted, ("", 0))[0] == protocol:
            number = owner.ports[wanted][1]
            found.add(Ports(protocol, number, number))
    return frozenset(found)
