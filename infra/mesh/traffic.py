"""How requests to servers are routed, in either mode. Pure.

A timeout ends a whole answer, so requests that are answered by a long stream have a longer one. What is sent
again is only what no server has seen: connections that failed, and streams that were refused. A tool may have
been run by anything else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from infra.gateway_api import (
    BackendReference,
    HeaderMatch,
    HttpMatch,
    HttpRetry,
    HttpRouteSpec,
    HttpRule,
    HttpTimeouts,
    ParentReference,
)
from infra.mesh.resources import (
    ConnectionPool,
    Destination,
    DestinationRuleSpec,
    Exact,
    HttpPool,
    LoadBalancer,
    OutlierDetection,
    Port,
    TcpPool,
    TrafficPolicy,
    VirtualDestination,
    VirtualMatch,
    VirtualRetries,
    VirtualRoute,
    VirtualServiceSpec,
)
from infra.settings.mesh import Mesh
from services.kit.conventions import MCP_PORT

METHOD_HEADER: Final = "mcp-method"
LISTEN: Final = "subscriptions/listen"
CALL: Final = "tools/call"

UNSEEN: Final = "connect-failure,refused-stream,reset-before-request"
"""Envoy's names of failures after which no server has seen the request."""

_CONNECT_SECONDS: Final = 2
_MOST_PENDING: Final = 1024
"""Requests that wait for a connection; the callers' own bounds are lower."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """A server that requests are routed to.

    Attributes:
        name: Of its Service.
        call_seconds: How long its tools may take.
    """

    name: str
    call_seconds: int


def timeouts(mesh: Mesh, server: Server) -> Iterator[tuple[str | None, int]]:
    """The MCP methods that have a timeout of their own, and at last the one of all others (None)."""
    yield LISTEN, mesh.stream_seconds
    if server.call_seconds > mesh.timeout_seconds:
        yield CALL, server.call_seconds
    yield None, mesh.timeout_seconds


def build_http_route(mesh: Mesh, server: Server) -> HttpRouteSpec:
    """Routes at the waypoint."""
    retry = None if mesh.attempts is None else HttpRetry(attempts=mesh.attempts)
    return HttpRouteSpec(
        parent_refs=(ParentReference(group="", kind="Service", name=server.name, port=MCP_PORT),),
        rules=tuple(
            HttpRule(
                matches=(HttpMatch(headers=(HeaderMatch(name=METHOD_HEADER, value=method),)),)
                if method
                else (),
                backend_refs=(BackendReference(name=server.name, port=MCP_PORT),),
                timeouts=HttpTimeouts(request=f"{seconds}s"),
                retry=retry,
            )
            for method, seconds in timeouts(mesh, server)
        ),
    )


def build_virtual_service(mesh: Mesh, server: Server) -> VirtualServiceSpec:
    """The same routes in the callers' sidecars."""
    target = VirtualDestination(destination=Destination(host=server.name, port=Port(number=MCP_PORT)))
    retries = None if mesh.attempts is None else _retries(mesh.attempts)
    return VirtualServiceSpec(
        hosts=(server.name,),
        http=tuple(
            VirtualRoute(
                match=(VirtualMatch(headers={METHOD_HEADER: Exact(exact=method)}),) if method else (),
                route=(target,),
                timeout=f"{seconds}s",
                retries=retries,
            )
            for method, seconds in timeouts(mesh, server)
        ),
    )


def _retries(attempts: int) -> VirtualRetries:
    """Istio takes no reasons for what is never done."""
    return VirtualRetries(attempts=attempts, retry_on=UNSEEN if attempts else None)


def build_destination_rule(mesh: Mesh, server: Server) -> DestinationRuleSpec:
    """Bounds of what a proxy asks a server, and when it leaves a pod alone."""
    outliers = mesh.outliers
    return DestinationRuleSpec(
        host=server.name,
        traffic_policy=TrafficPolicy(
            load_balancer=LoadBalancer(simple="LEAST_REQUEST"),
            connection_pool=ConnectionPool(
                tcp=TcpPool(max_connections=mesh.connections, connect_timeout=f"{_CONNECT_SECONDS}s"),
                http=HttpPool(http1_max_pending_requests=_MOST_PENDING),
            ),
            outlier_detection=OutlierDetection(
                consecutive5xx_errors=outliers.errors,
                interval=f"{outliers.interval_seconds}s",
                base_ejection_time=f"{outliers.eject_seconds}s",
                max_ejection_percent=outliers.eject_percent,
            ),
        ),
    )
