"""The front door of a stack, and the connections through it."""

from __future__ import annotations

import pulumi

from infra.components.edge import HTTP_PORT, HTTPS_PORT, Edge, EdgeArgs
from infra.components.platform_flows import dns
from infra.flows import Flow, Namespace, Networks, Party, Pods, service
from infra.naming import ACME_SOLVER, EDGE, GATEWAY, Stack
from infra.settings import Settings
from services.kit.conventions import MCP_PORT

_CONTROL_PLANE_PORT = 15012
"""Where istiod hands out configuration and certificates."""
_SOLVER = Pods(title=ACME_SOLVER, foreign={"acme.cert-manager.io/http01-solver": "true"})
"""What cert-manager runs in the certificate's namespace while it proves a name."""
_SOLVER_PORT = 8089


def assemble_edge(stack: Stack, settings: Settings, opts: pulumi.ResourceOptions) -> list[Flow]:
    """Declare the front door, if the stack has one.

    Returns:
        Who may call the gateway: through the front door, or else the clients themselves.
    """
    clients = Networks(cidrs=settings.gateway.client_cidrs)
    gateway = service(GATEWAY)
    if settings.edge is None:
        return [Flow(source=clients, target=gateway, port=MCP_PORT)]
    args = EdgeArgs(
        stack=stack,
        settings=settings.edge,
        hosts=settings.gateway.allowed_hosts,
        max_body_bytes=settings.gateway.requests.max_body_bytes,
        body_seconds=settings.gateway.requests.body_seconds,
    )
    Edge(EDGE, args, opts)
    where = settings.edge.proxies
    if where.cidrs:
        return _inwards(settings, Networks(cidrs=where.cidrs))
    if where.namespace:
        return _inwards(settings, Namespace(name=where.namespace))
    proxies = service(EDGE)
    control_plane = Namespace(name=where.control_plane_namespace, pods={"app": "istiod"})
    ports = (HTTPS_PORT, HTTP_PORT) if settings.edge.redirect else (HTTPS_PORT,)
    return [
        *(Flow(source=clients, target=proxies, port=port) for port in ports),
        *_inwards(settings, proxies),
        Flow(source=proxies, target=control_plane, port=_CONTROL_PLANE_PORT),
        *dns(settings.network, proxies),
    ]


def _inwards(settings: Settings, proxies: Party) -> list[Flow]:
    """What the front door's proxies call."""
    proven = settings.edge is not None and settings.edge.certificate.http01
    return [
        Flow(source=proxies, target=service(GATEWAY), port=MCP_PORT),
        *([Flow(source=proxies, target=_SOLVER, port=_SOLVER_PORT)] if proven else []),
    ]
