"""Network policies: nobody may talk to anybody, except for the flows that are listed."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, LabelSelectorRequirementArgs, ObjectMetaArgs
from pulumi_kubernetes.networking import v1

from infra.addresses import CREDENTIALS
from infra.flows import Flow, Namespace, Party, Pods
from infra.labels import KEEP, labels
from infra.naming import DEFAULT_DENY, PROJECT, Stack

_NAMESPACE_NAME: Final = "kubernetes.io/metadata.name"


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkArgs:
    """What is let through.

    Attributes:
        stack: The stack.
        flows: Every connection that its pods open or take.
        namespace: Of the pods; the stack's own when left out.
        outlive: Names of the policies of pods that may outlive the stack: what guards them stays with them.
    """

    stack: Stack
    flows: Sequence[Flow]
    namespace: str | None = None
    outlive: frozenset[str] = frozenset()


def block(cidr: str) -> v1.NetworkPolicyPeerArgs:
    """A network, without the addresses for credentials that a wider one contains; flows to them name them."""
    network = ipaddress.ip_network(cidr)
    inside = [
        address
        for address in CREDENTIALS
        if (single := ipaddress.ip_network(address)).version == network.version
        and single.network_address in network
        and single != network
    ]
    return v1.NetworkPolicyPeerArgs(ip_block=v1.IPBlockArgs(cidr=cidr, except_=inside or None))


def default_deny() -> v1.NetworkPolicySpecArgs:
    """No pod of the namespace receives or sends anything."""
    return v1.NetworkPolicySpecArgs(pod_selector=LabelSelectorArgs(), policy_types=["Ingress", "Egress"])


def build_policy(stack: Stack, pods: Pods, flows: Sequence[Flow]) -> v1.NetworkPolicySpecArgs:
    """What some pods may take, and what they may open."""
    ingress = [
        v1.NetworkPolicyIngressRuleArgs(
            from_=_peers(stack, flow.source), ports=_ports(flow, flow.name or flow.port)
        )
        for flow in flows
        if flow.target == pods
    ]
    egress = [
        v1.NetworkPolicyEgressRuleArgs(to=_peers(stack, flow.target), ports=_ports(flow, flow.port))
        for flow in flows
        if flow.source == pods
    ]
    return v1.NetworkPolicySpecArgs(
        pod_selector=_selector(stack, pods),
        policy_types=[*["Ingress"] * bool(ingress), *["Egress"] * bool(egress)],
        ingress=ingress or None,
        egress=egress or None,
    )


def build_policies(args: NetworkArgs) -> dict[str, v1.NetworkPolicySpecArgs]:
    """Every policy by name: one for each set of pods that a flow names."""
    parties = [party for flow in args.flows for party in (flow.source, flow.target)]
    named = {party.title: party for party in parties if isinstance(party, Pods)}
    return {
        DEFAULT_DENY: default_deny(),
        **{title: build_policy(args.stack, pods, args.flows) for title, pods in sorted(named.items())},
    }


class Network(pulumi.ComponentResource):
    """All NetworkPolicies of a stack."""

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mcp:network:Network", name, None, opts)
        own = labels(args.stack, PROJECT, "platform")
        namespace = args.namespace or args.stack.namespace
        for policy, spec in build_policies(args).items():
            v1.NetworkPolicy(
                policy,
                metadata=ObjectMetaArgs(
                    name=policy,
                    namespace=namespace,
                    labels=own,
                    annotations=KEEP if policy in args.outlive else None,
                ),
                spec=spec,
                opts=pulumi.ResourceOptions(
                    parent=self, retain_on_delete=args.stack.production and policy in args.outlive
                ),
            )
        self.register_outputs({})


def _selector(stack: Stack, pods: Pods) -> LabelSelectorArgs:
    expressions = [
        LabelSelectorRequirementArgs(key=key, operator="In", values=list(values))
        for key, values in pods.expressions().items()
    ]
    return LabelSelectorArgs(match_labels=pods.labels(stack), match_expressions=expressions or None)


def _peers(stack: Stack, party: Party) -> list[v1.NetworkPolicyPeerArgs]:
    if isinstance(party, Pods):
        return [v1.NetworkPolicyPeerArgs(pod_selector=_selector(stack, party))]
    if isinstance(party, Namespace):
        return [
            v1.NetworkPolicyPeerArgs(
                namespace_selector=LabelSelectorArgs(match_labels={_NAMESPACE_NAME: party.name}),
                pod_selector=LabelSelectorArgs(match_labels=party.pods) if party.pods else None,
            )
        ]
    return [block(cidr) for cidr in party.cidrs]


def _ports(flow: Flow, port: int | str) -> list[v1.NetworkPolicyPortArgs]:
    return [v1.NetworkPolicyPortArgs(protocol=protocol, port=port) for protocol in flow.protocols]
