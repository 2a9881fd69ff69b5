"""Istio's custom resources, as far as they are used: `security.istio.io/v1` and `networking.istio.io/v1`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from infra.custom_resources import TypedResource

SECURITY: Final = "security.istio.io/v1"
NETWORKING: Final = "networking.istio.io/v1"


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkloadSelector:
    """Pods that have all of these labels."""

    match_labels: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetReference:
    """A Service or Gateway whose waypoint enforces a policy; the group of Kubernetes' own kinds is empty."""

    group: str
    kind: Literal["Gateway", "Service"]
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class MutualTls:
    """Whether connections must be of the mesh; PERMISSIVE takes plain text, too."""

    mode: Literal["STRICT", "PERMISSIVE"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PeerAuthenticationSpec:
    """What connections are taken: by a whole namespace, or by the pods of a selector.

    Attributes:
        mtls: At every port.
        selector: Some pods; of two that match the older one is taken, so there must be one only.
        port_level_mtls: By port, as text; only with a selector.
    """

    mtls: MutualTls
    selector: WorkloadSelector | None = None
    port_level_mtls: Mapping[str, MutualTls] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Who calls; of what is set, all must be true.

    Attributes:
        principals: Service accounts: `<trust domain>/ns/<namespace>/sa/<account>`.
        not_principals: `*` is whoever has an identity, so that only callers outside of the mesh are left.
        ip_blocks: Networks of the caller's address.
        not_namespaces: Whose service accounts it isn't.
    """

    principals: tuple[str, ...] = ()
    not_principals: tuple[str, ...] = ()
    ip_blocks: tuple[str, ...] = ()
    not_namespaces: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class From:
    """One kind of callers."""

    source: Source


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """What is called; methods and paths only a proxy for HTTP can tell."""

    ports: tuple[str, ...]
    methods: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class To:
    """One kind of calls."""

    operation: Operation


@dataclass(frozen=True, kw_only=True, slots=True)
class AuthorizationRule:
    """Calls that are let through: from any of these, to any of those."""

    from_: tuple[From, ...]
    to: tuple[To, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class AuthorizationPolicySpec:
    """What is let through; nothing at all without rules.

    Attributes:
        rules: Any of which is enough.
        selector: Pods that enforce it; the whole namespace's with neither this nor `target_refs`.
        target_refs: Whose waypoint enforces it.
    """

    rules: tuple[AuthorizationRule, ...] = ()
    selector: WorkloadSelector | None = None
    target_refs: tuple[TargetReference, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class TcpPool:
    """Connections of one proxy to all pods of a destination."""

    max_connections: int
    connect_timeout: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpPool:
    """Requests of one proxy that wait for a connection."""

    http1_max_pending_requests: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionPool:
    """What a destination is asked at most."""

    tcp: TcpPool
    http: HttpPool


@dataclass(frozen=True, kw_only=True, slots=True)
class OutlierDetection:
    """When a pod gets no requests for a while.

    Attributes:
        consecutive5xx_errors: Failed connections are counted, too.
        interval: Between two looks.
        base_ejection_time: How long, times how often it happened.
        max_ejection_percent: The others stay, however they fare.
    """

    consecutive5xx_errors: int
    interval: str
    base_ejection_time: str
    max_ejection_percent: int


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadBalancer:
    """How a pod is chosen."""

    simple: Literal["LEAST_REQUEST", "ROUND_ROBIN"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrafficPolicy:
    """How a destination is called."""

    load_balancer: LoadBalancer
    connection_pool: ConnectionPool
    outlier_detection: OutlierDetection


@dataclass(frozen=True, kw_only=True, slots=True)
class DestinationRuleSpec:
    """How the Service `host`, of the rule's own namespace, is called."""

    host: str
    traffic_policy: TrafficPolicy


@dataclass(frozen=True, kw_only=True, slots=True)
class Exact:
    """A text that must be the same."""

    exact: str


@dataclass(frozen=True, kw_only=True, slots=True)
class VirtualMatch:
    """Requests with these headers, whose names are written in small letters."""

    headers: Mapping[str, Exact]


@dataclass(frozen=True, kw_only=True, slots=True)
class Port:
    """A Service's port."""

    number: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Destination:
    """A Service of the same namespace."""

    host: str
    port: Port


@dataclass(frozen=True, kw_only=True, slots=True)
class VirtualDestination:
    """Where requests go."""

    destination: Destination


@dataclass(frozen=True, kw_only=True, slots=True)
class VirtualRetries:
    """How often a request is tried again, and after which failures; Envoy's words for them, with commas."""

    attempts: int
    retry_on: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class VirtualRoute:
    """What happens to requests that match; the first route that does is taken."""

    route: tuple[VirtualDestination, ...]
    timeout: str
    retries: VirtualRetries | None = None
    match: tuple[VirtualMatch, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class VirtualServiceSpec:
    """Routes of requests for some Services, in the callers' sidecars."""

    hosts: tuple[str, ...]
    http: tuple[VirtualRoute, ...]


class PeerAuthentication(TypedResource[PeerAuthenticationSpec], api_version=SECURITY):
    """What connections are taken."""


class AuthorizationPolicy(TypedResource[AuthorizationPolicySpec], api_version=SECURITY):
    """Who may call what."""


class DestinationRule(TypedResource[DestinationRuleSpec], api_version=NETWORKING):
    """Bounds of what a Service is asked."""


class VirtualService(TypedResource[VirtualServiceSpec], api_version=NETWORKING):
    """Routes, in sidecars."""
