"""Envoy Gateway's policies for the front door, as far as they are used: `gateway.envoyproxy.io/v1alpha1`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, Literal

from infra.custom_resources import TypedResource, spelled
from infra.gateway_api import GROUP
from infra.naming import EDGE
from infra.settings.edge import EnvoyGateway

API_VERSION: Final = "gateway.envoyproxy.io/v1alpha1"

_WORTH_COMPRESSING: Final = "1Ki"
_EVERYWHERE: Final = ("0.0.0.0/0", "::/0")


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetReference:
    """What a policy is about, in its own namespace."""

    kind: Literal["Gateway", "HTTPRoute"]
    name: str
    group: str = GROUP


@dataclass(frozen=True, kw_only=True, slots=True)
class Tls:
    """Versions that clients may speak."""

    min_version: Literal["1.2", "1.3"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionLimit:
    """How many connections a proxy takes."""

    value: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientConnection:
    """Connections of clients."""

    connection_limit: ConnectionLimit


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientHttpTimeout:
    """How long clients may take.

    Attributes:
        request_received_timeout: For a whole request.
        idle_timeout: For a connection with no request on it.
    """

    request_received_timeout: str
    idle_timeout: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientTimeout:
    """How long clients may take."""

    http: ClientHttpTimeout


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientTrafficPolicySpec:
    """What clients of a Gateway may do."""

    target_refs: tuple[TargetReference, ...]
    tls: Tls
    connection: ClientConnection
    timeout: ClientTimeout


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceMatch:
    """Clients of a network; Distinct: each address counts for itself."""

    value: str
    type: Literal["Exact", "Distinct"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientSelector:
    """Requests that a limit counts."""

    source_cidr: SourceMatch = field(metadata=spelled("sourceCIDR"))


@dataclass(frozen=True, kw_only=True, slots=True)
class RateLimitValue:
    """Requests in a unit of time."""

    requests: int
    unit: Literal["Second", "Minute", "Hour"]


@dataclass(frozen=True, kw_only=True, slots=True)
class RateLimitRule:
    """A limit, and for whom."""

    client_selectors: tuple[ClientSelector, ...]
    limit: RateLimitValue


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalRateLimit:
    """Limits that each proxy counts for itself."""

    rules: tuple[RateLimitRule, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RateLimit:
    """Limits."""

    local: LocalRateLimit
    type: Literal["Local"] = "Local"


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestBuffer:
    """A request is taken in whole before it goes on, and refused (413) beyond `limit` bytes."""

    limit: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadBalancer:
    """Which pod gets a request."""

    type: Literal["LeastRequest", "RoundRobin"]


@dataclass(frozen=True, kw_only=True, slots=True)
class BackendHttpTimeout:
    """How long an answer may take, from the request's end to its own."""

    request_timeout: str


@dataclass(frozen=True, kw_only=True, slots=True)
class BackendTimeout:
    """How long pods may take."""

    http: BackendHttpTimeout


@dataclass(frozen=True, kw_only=True, slots=True)
class CircuitBreaker:
    """The most that a proxy has open to all pods together: 1024 of each unless said, which streams use up."""

    max_connections: int
    max_pending_requests: int
    max_parallel_requests: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Gzip:
    """Gzip as Envoy does it: texts and JSON, but no streams of events."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Compressor:
    """Answers are compressed for clients that ask for it."""

    min_content_length: str
    gzip: Gzip = Gzip()
    type: Literal["Gzip"] = "Gzip"


@dataclass(frozen=True, kw_only=True, slots=True)
class BackendTrafficPolicySpec:
    """How requests of a route go on to pods."""

    target_refs: tuple[TargetReference, ...]
    rate_limit: RateLimit
    request_buffer: RequestBuffer
    circuit_breaker: CircuitBreaker
    compressor: tuple[Compressor, ...]
    load_balancer: LoadBalancer
    timeout: BackendTimeout


def build_client_policy(settings: EnvoyGateway, body_seconds: float) -> ClientTrafficPolicySpec:
    """TLS 1.2 or newer, bounded connections, and no slow senders."""
    return ClientTrafficPolicySpec(
        target_refs=(TargetReference(kind="Gateway", name=EDGE),),
        tls=Tls(min_version="1.2"),
        connection=ClientConnection(connection_limit=ConnectionLimit(value=settings.connections)),
        timeout=ClientTimeout(
            http=ClientHttpTimeout(
                request_received_timeout=f"{math.ceil(body_seconds)}s", idle_timeout="300s"
            )
        ),
    )


def build_backend_policy(
    settings: EnvoyGateway, max_body_bytes: int, stream_seconds: int
) -> BackendTrafficPolicySpec:
    """Limits for each client address and each request; the replica with the fewest open requests is next."""
    limit = RateLimitValue(requests=settings.client_per_second, unit="Second")
    most = settings.connections
    rules = tuple(
        RateLimitRule(
            client_selectors=(ClientSelector(source_cidr=SourceMatch(value=cidr, type="Distinct")),),
            limit=limit,
        )
        for cidr in _EVERYWHERE
    )
    return BackendTrafficPolicySpec(
        target_refs=(TargetReference(kind="HTTPRoute", name=EDGE),),
        rate_limit=RateLimit(local=LocalRateLimit(rules=rules)),
        request_buffer=RequestBuffer(limit=str(max_body_bytes)),
        circuit_breaker=CircuitBreaker(
            max_connections=most, max_pending_requests=most, max_parallel_requests=most
        ),
        compressor=(Compressor(min_content_length=_WORTH_COMPRESSING),),
        load_balancer=LoadBalancer(type="LeastRequest"),
        timeout=BackendTimeout(http=BackendHttpTimeout(request_timeout=f"{stream_seconds}s")),
    )


class ClientTrafficPolicy(TypedResource[ClientTrafficPolicySpec], api_version=API_VERSION):
    """Tells Envoy Gateway what clients may do."""


class BackendTrafficPolicy(TypedResource[BackendTrafficPolicySpec], api_version=API_VERSION):
    """Tells Envoy Gateway how requests go on."""
