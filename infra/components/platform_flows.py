"""The connections that every stack has: gateway, servers, stores, names, metrics, traces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from infra.components.store import Endpoint
from infra.flows import (
    ALL_PODS,
    ALL_SERVERS,
    CALLERS_OF_NAMES,
    Flow,
    Namespace,
    Networks,
    Party,
    Pods,
    outside,
    service,
)
from infra.naming import GATEWAY, POSTGRES, REDIS
from infra.settings.groups import Network
from infra.settings.telemetry import Tracing
from services.kit.conventions import MCP_PORT, OPS_PORT, OPS_PORT_NAME

DNS_PORT: Final = 53
HTTPS_PORT: Final = 443
CLUSTER_DNS: Final = Namespace(name="kube-system", pods={"k8s-app": "kube-dns"})


@dataclass(frozen=True, kw_only=True, slots=True)
class PlatformFlowsArgs:
    """What is connected.

    Attributes:
        settings: The cluster's addresses around the stack.
        issuer_cidrs: Networks that token issuers publish their keys from.
        server_egress: Networks that a server's tools call, by the server's name.
        redis: Where Redis is.
        postgres: Where Postgres is.
        tracing: Where traces go; None for nowhere. A collector of the stack's own adds its flows itself.
    """

    settings: Network
    issuer_cidrs: Sequence[str]
    server_egress: Mapping[str, Sequence[str]]
    redis: Endpoint
    postgres: Endpoint
    tracing: Tracing | None = None


def platform_flows(args: PlatformFlowsArgs) -> list[Flow]:
    """All of them."""
    gateway, settings = service(GATEWAY), args.settings
    api_server = Networks(cidrs=settings.api_server_cidrs)
    return [
        Flow(source=gateway, target=ALL_SERVERS, port=MCP_PORT),
        Flow(source=gateway, target=api_server, port=settings.api_server_port),
        Flow(source=gateway, target=store(REDIS, args.redis), port=args.redis.port),
        Flow(source=gateway, target=store(POSTGRES, args.postgres), port=args.postgres.port),
        *outside(gateway, args.issuer_cidrs, HTTPS_PORT),
        *dns(settings),
        metrics(settings),
        *_traces(settings, args.tracing),
        *(
            flow
            for name, cidrs in sorted(args.server_egress.items())
            for flow in outside(service(name), cidrs, HTTPS_PORT)
        ),
    ]


def store(name: str, endpoint: Endpoint) -> Party:
    """A store's pods, or its networks outside the cluster."""
    if endpoint.cidrs:
        return Networks(cidrs=endpoint.cidrs)
    return store_pods(name, endpoint)


def store_pods(name: str, endpoint: Endpoint) -> Pods:
    """The pods of a store inside the cluster."""
    return Pods(title=name, foreign=endpoint.pods) if endpoint.pods else service(name)


def dns(settings: Network, source: Pods = CALLERS_OF_NAMES) -> list[Flow]:
    """To the cluster's DNS, as pods and, where it has some, on the nodes."""
    servers: list[Party] = [CLUSTER_DNS]
    if settings.dns_cidrs:
        servers.append(Networks(cidrs=settings.dns_cidrs))
    return [Flow(source=source, target=server, port=DNS_PORT, protocols=("UDP", "TCP")) for server in servers]


def metrics(settings: Network) -> Flow:
    """Prometheus may scrape every pod."""
    prometheus = Namespace(name=settings.monitoring_namespace)
    return Flow(source=prometheus, target=ALL_PODS, port=OPS_PORT, name=OPS_PORT_NAME)


def _traces(settings: Network, tracing: Tracing | None) -> list[Flow]:
    if tracing is None or tracing.collector is not None:
        return []
    return to_backend(settings, CALLERS_OF_NAMES, tracing.cidrs, tracing.port)


def to_backend(settings: Network, source: Pods, cidrs: Sequence[str], port: int) -> list[Flow]:
    """To what takes traces or logs: in these networks, or among the pods that watch the cluster."""
    if cidrs:
        return outside(source, cidrs, port)
    return [Flow(source=source, target=Namespace(name=settings.monitoring_namespace), port=port)]
