"""The policies as one nftables table, which replaces the one before in a single transaction.

Two places are passed: `forward`, what one pod sends another, and `input`, what a pod sends the node (API
server, DNS). What the node sends to pods, such as the kubelet's probes, no policy restricts. Addresses are
those behind Services, as kube-proxy's rules come first. Replies belong to connections that were let through.

What a policy forbids is refused at once (ICMP), so that a mistake shows without waiting for a timeout. A pod
that isn't known yet can do nothing for that moment: its packets are dropped, and TCP sends them again.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, collapse_addresses
from typing import Final

from infra.cluster.netpol.model import DIRECTIONS, Direction, Pod
from infra.cluster.netpol.verdicts import Permission, Policies, Ports

TABLE: Final = "mcp_policies"

_REFUSE: Final = "reject with icmp type admin-prohibited"
_PEER: Final = {"Ingress": "saddr", "Egress": "daddr"}
_OWN: Final = {"Ingress": "daddr", "Egress": "saddr"}


def ruleset(policies: Policies, pods: Iterable[Pod], pod_network: str) -> str:
    """Input for `nft -f -`."""
    known = sorted((pod for pod in pods if pod.address), key=lambda pod: pod.address)
    chains: list[str] = []
    jumps: dict[Direction, list[str]] = {direction: [] for direction in DIRECTIONS}
    for pod in known:
        for direction in DIRECTIONS:
            permissions = policies.permissions(pod, direction)
            if permissions is None:
                continue
            name = f"{direction.lower()}_{pod.address.replace('.', '_')}"
            rules = sorted(rule for it in permissions for rule in _rules(it, direction))
            chains += [
                f"  chain {name} {{ # {pod.namespace}/{pod.name}",
                *(f"    {rule}" for rule in rules),
                f"    {_REFUSE}",
                "  }",
            ]
            jumps[direction].append(f"{pod.address} : jump {name}")
    lines = [
        f"table ip {TABLE}",  # so that deleting it can't fail
        f"delete table ip {TABLE}",
        f"table ip {TABLE} {{",
        *_set("known", "ipv4_addr", [pod.address for pod in known]),
        *chains,
        *_base("forward", pod_network, jumps),
        *_base("input", pod_network, {"Egress": jumps["Egress"], "Ingress": []}),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _base(hook: str, pod_network: str, jumps: dict[Direction, list[str]]) -> list[str]:
    lines = [
        f"  chain {hook} {{",
        f"    type filter hook {hook} priority filter; policy accept;",
        "    ct state established,related accept",
        f"    ip saddr {pod_network} ip saddr != @known drop",
    ]
    lines.extend(
        f"    ip {_OWN[direction]} vmap {{ {', '.join(jumps[direction])} }}"
        for direction in reversed(DIRECTIONS)
        if jumps[direction]
    )
    return [*lines, "  }"]


def _rules(permission: Permission, direction: Direction) -> Iterable[str]:
    if permission.networks is None:
        peer = ""
    else:
        networks = [str(it) for it in collapse_addresses(IPv4Network(it) for it in permission.networks)]
        if not networks:
            return
        peer = f"ip {_PEER[direction]} {{ {', '.join(networks)} }} "
    if permission.ports is None:
        yield f"{peer}return"
        return
    for ports in permission.ports:
        yield f"{peer}{_ports(ports)} return"


def _ports(ports: Ports) -> str:
    last = "" if ports.last == ports.first else f"-{ports.last}"
    return f"{ports.protocol.lower()} dport {ports.first}{last}"


def _set(name: str, kind: str, elements: list[str]) -> list[str]:
    content = [f"    elements = {{ {', '.join(elements)} }}"] if elements else []
    return [f"  set {name} {{", f"    type {kind}", *content, "  }"]
