"""Who may talk to whom: nobody, except for the flows that are listed here."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, LabelSelectorRequirementArgs, ObjectMetaArgs
from pulumi_kubernetes.networking import v1

from infra.components.store import Endpoint
from infra.labels import COMPONENT, INSTANCE, component_selector, labels, selector
from infra.naming import GATEWAY, POSTGRES, PROJECT, REDIS, Stack
from infra.settings.groups import Network as NetworkSettings
from infra.settings.groups import Tracing
from services.kit.conventions import MCP_PORT, MCP_PORT_NAME, OPS_PORT_NAME

METADATA_ADDRESSES: Final = ("169.254.169.254/32", "fd00:ec2::254/128")
"""Where clouds hand out a node's credentials to whoever asks."""

_DNS_PORT: Final = 53
_HTTPS_PORT: Final = 443
_NAMESPACE_NAME: Final = "kubernetes.io/metadata.name"


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkArgs:
    """What is connected.

    Attributes:
        stack: The stack.
        settings: The cluster's addresses around the stack.
        client_cidrs: Networks that MCP clients come from.
        issuer_cidrs: Networks that token issuers publish their keys from.
        server_egress: Networks that a server's tools call, by the server's name.
        redis: Where Redis is.
        postgres: Where Postgres is.
        tracing: Where traces go; None for nowhere.
    """

    stack: Stack
    settings: NetworkSettings
    client_cidrs: Sequence[str]
    issuer_cidrs: Sequence[str]
    server_egress: Mapping[str, Sequence[str]]
    redis: Endpoint
    postgres: Endpoint
    tracing: Tracing | None = None


def block(cidr: str) -> v1.NetworkPolicyPeerArgs:
    """A network, without the cloud's metadata addresses where it would contain them."""
    network = ipaddress.ip_network(cidr)
    inside = [
        address
        for address in METADATA_ADDRESSES
        if (metadata := ipaddress.ip_network(address)).version == network.version
        and metadata.network_address in network
    ]
    return v1.NetworkPolicyPeerArgs(ip_block=v1.IPBlockArgs(cidr=cidr, except_=inside or None))


def default_deny() -> v1.NetworkPolicySpecArgs:
    """No pod of the namespace receives or sends anything."""
    return v1.NetworkPolicySpecArgs(pod_selector=LabelSelectorArgs(), policy_types=["Ingress", "Egress"])


def dns(stack: Stack, settings: NetworkSettings) -> v1.NetworkPolicySpecArgs:
    """The services may ask the cluster's DNS. The stores call nobody, and names can carry data out."""
    cluster_dns = v1.NetworkPolicyPeerArgs(
        namespace_selector=LabelSelectorArgs(match_labels={_NAMESPACE_NAME: "kube-system"}),
        pod_selector=LabelSelectorArgs(match_labels={"k8s-app": "kube-dns"}),
    )
    return v1.NetworkPolicySpecArgs(
        pod_selector=_services(stack),
        policy_types=["Egress"],
        egress=[
            v1.NetworkPolicyEgressRuleArgs(
                to=[cluster_dns, *(block(cidr) for cidr in settings.dns_cidrs)],
                ports=[_port("UDP", _DNS_PORT), _port("TCP", _DNS_PORT)],
            )
        ],
    )


def metrics(stack: Stack, settings: NetworkSettings) -> v1.NetworkPolicySpecArgs:
    """Prometheus may scrape every pod's metrics."""
    prometheus = v1.NetworkPolicyPeerArgs(
        namespace_selector=LabelSelectorArgs(match_labels={_NAMESPACE_NAME: settings.monitoring_namespace})
    )
    return v1.NetworkPolicySpecArgs(
        pod_selector=LabelSelectorArgs(match_labels={INSTANCE: stack.name}),
        policy_types=["Ingress"],
        ingress=[v1.NetworkPolicyIngressRuleArgs(from_=[prometheus], ports=[_port("TCP", OPS_PORT_NAME)])],
    )


def gateway(args: NetworkArgs) -> v1.NetworkPolicySpecArgs:
    """Clients may call the gateway; it may call the servers, the Kubernetes API, the stores and issuers."""
    stack, settings = args.stack, args.settings
    servers = v1.NetworkPolicyPeerArgs(
        pod_selector=LabelSelectorArgs(match_labels=component_selector(stack, "server"))
    )
    return v1.NetworkPolicySpecArgs(
        pod_selector=LabelSelectorArgs(match_labels=selector(stack, GATEWAY)),
        policy_types=["Ingress", "Egress"],
        ingress=[
            v1.NetworkPolicyIngressRuleArgs(
                from_=[block(cidr) for cidr in args.client_cidrs], ports=[_port("TCP", MCP_PORT_NAME)]
            )
        ],
        egress=[
            _egress([servers], MCP_PORT),
            _egress([block(cidr) for cidr in settings.api_server_cidrs], settings.api_server_port),
            _egress(_peers(stack, REDIS, args.redis), args.redis.port),
            _egress(_peers(stack, POSTGRES, args.postgres), args.postgres.port),
            # Without a network, the rule would let the gateway out to any.
            *(
                [_egress([block(cidr) for cidr in args.issuer_cidrs], _HTTPS_PORT)]
                if args.issuer_cidrs
                else []
            ),
        ],
    )


def servers(stack: Stack) -> v1.NetworkPolicySpecArgs:
    """Only the gateway may call the servers."""
    return v1.NetworkPolicySpecArgs(
        pod_selector=LabelSelectorArgs(match_labels=component_selector(stack, "server")),
        policy_types=["Ingress"],
        ingress=[_from_gateway(stack, MCP_PORT_NAME)],
    )


def store(stack: Stack, name: str, port: int) -> v1.NetworkPolicySpecArgs:
    """Only the gateway may call a data store."""
    return v1.NetworkPolicySpecArgs(
        pod_selector=LabelSelectorArgs(match_labels=selector(stack, name)),
        policy_types=["Ingress"],
        ingress=[_from_gateway(stack, port)],
    )


def server_egress(stack: Stack, name: str, cidrs: Sequence[str]) -> v1.NetworkPolicySpecArgs:
    """One server's tools may call the networks that its settings list, by HTTPS."""
    return v1.NetworkPolicySpecArgs(
        pod_selector=LabelSelectorArgs(match_labels=selector(stack, name)),
        policy_types=["Egress"],
        egress=[_egress([block(cidr) for cidr in cidrs], _HTTPS_PORT)],
    )


def traces(stack: Stack, settings: NetworkSettings, tracing: Tracing) -> v1.NetworkPolicySpecArgs:
    """The services may send their traces to the collector."""
    inside = v1.NetworkPolicyPeerArgs(
        namespace_selector=LabelSelectorArgs(match_labels={_NAMESPACE_NAME: settings.monitoring_namespace})
    )
    outside = [block(cidr) for cidr in tracing.cidrs]
    return v1.NetworkPolicySpecArgs(
        pod_selector=_services(stack),
        policy_types=["Egress"],
        egress=[_egress(outside or [inside], tracing.port)],
    )


def build_policies(args: NetworkArgs) -> dict[str, v1.NetworkPolicySpecArgs]:
    """Every policy by name."""
    stack = args.stack
    policies = {
        "default-deny": default_deny(),
        "dns": dns(stack, args.settings),
        "metrics": metrics(stack, args.settings),
        "gateway": gateway(args),
        "servers": servers(stack),
    }
    for name, endpoint in ((REDIS, args.redis), (POSTGRES, args.postgres)):
        if not endpoint.cidrs:
            policies[name] = store(stack, name, endpoint.port)
    if args.tracing is not None:
        policies["traces"] = traces(stack, args.settings, args.tracing)
    for name, cidrs in sorted(args.server_egress.items()):
        if cidrs:
            policies[f"{name}-egress"] = server_egress(stack, name, cidrs)
    return policies


class Network(pulumi.ComponentResource):
    """All NetworkPolicies of a stack."""

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mcp:network:Network", name, None, opts)
        own = labels(args.stack, PROJECT, "platform")
        for policy, spec in build_policies(args).items():
            v1.NetworkPolicy(
                policy,
                metadata=ObjectMetaArgs(name=policy, namespace=args.stack.namespace, labels=own),
                spec=spec,
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({})


def _services(stack: Stack) -> LabelSelectorArgs:
    """The gateway's and all servers' pods."""
    services = LabelSelectorRequirementArgs(key=COMPONENT, operator="In", values=["gateway", "server"])
    return LabelSelectorArgs(match_labels={INSTANCE: stack.name}, match_expressions=[services])


def _peers(stack: Stack, name: str, endpoint: Endpoint) -> list[v1.NetworkPolicyPeerArgs]:
    """A store's pods, or its networks outside the cluster."""
    if endpoint.cidrs:
        return [block(cidr) for cidr in endpoint.cidrs]
    return [v1.NetworkPolicyPeerArgs(pod_selector=LabelSelectorArgs(match_labels=selector(stack, name)))]


def _from_gateway(stack: Stack, port: str | int) -> v1.NetworkPolicyIngressRuleArgs:
    caller = LabelSelectorArgs(match_labels=selector(stack, GATEWAY))
    return v1.NetworkPolicyIngressRuleArgs(
        from_=[v1.NetworkPolicyPeerArgs(pod_selector=caller)], ports=[_port("TCP", port)]
    )


def _egress(to: Sequence[v1.NetworkPolicyPeerArgs], port: int) -> v1.NetworkPolicyEgressRuleArgs:
    return v1.NetworkPolicyEgressRuleArgs(to=list(to), ports=[_port("TCP", port)])


def _port(protocol: str, port: str | int) -> v1.NetworkPolicyPortArgs:
    return v1.NetworkPolicyPortArgs(protocol=protocol, port=port)
