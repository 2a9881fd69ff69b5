# ruff: noqa: D103 - a rule's title, beside its function, says what it checks
"""Whether pods that may call somebody can also ask for their names."""

from __future__ import annotations

from typing import Final

from policies.family import Family
from policies.matching import every, some
from policies.mesh_membership import is_tunnel
from policies.node import Node
from policies.objects import Stack
from policies.rule import Findings, Options, Severity, require_any
from policies.rules.network import POLICY, applies, selects

FAMILY: Final = Family("dns", "Names of other services", together="network")

_PORTS: Final = frozenset({53, 1053, 5353, 8053})
"""Of DNS servers; those that run without root listen above 1024, and policies name the pods' own ports."""
_NAMES: Final = frozenset({"dns", "dns-udp", "domain"})


@FAMILY.stack(
    "network-dns-allowed",
    "Pods that may call somebody may ask the cluster's DNS",
    Severity.HIGH,
    POLICY,
    fix="Allow egress to the DNS on port 53, UDP and TCP. Pods that call nobody need no names.",
    references=("Kubernetes: network policies, default deny all egress traffic",),
)
def network_dns_allowed(stack: Stack, _options: Options) -> Findings:
    for pod in stack.pods:
        if pod.spec.at("hostNetwork").value is True:
            continue  # policies don't concern it
        answers = [
            (rule, chosen)
            for policy in stack.of_kind(POLICY)
            if (chosen := every([selects(policy, pod), applies(policy, "Egress")])) is not False
            for rule in policy.node.at("spec.egress").items()
            if rule.unknown or not is_tunnel(rule, policy.namespace, stack)
        ]
        if answers:
            yield from require_any(
                [every([chosen, _allows_dns(rule)]) for rule, chosen in answers],
                pod.metadata.at("labels"),
                "may open connections, but not ask the DNS for names",
                pod.owner,
            )


def _allows_dns(rule: Node) -> bool | None:
    """Whether a rule lets UDP out to a port of DNS, whoever listens there."""
    ports = rule.key("ports")
    if rule.unknown or ports.unknown:
        return None
    listed = ports.items()
    return some(map(_is_dns, listed)) if listed else True


def _is_dns(port: Node) -> bool | None:
    protocol, number, end = port.key("protocol"), port.key("port"), port.key("endPort")
    if protocol.unknown or number.unknown or end.unknown:
        return None
    if (protocol.text() or "TCP") != "UDP":
        return False
    if number.absent:
        return True
    if isinstance(number.value, str):
        return number.value in _NAMES
    first = number.integer() or 0
    return any(first <= dns <= (end.integer() or first) for dns in _PORTS)
