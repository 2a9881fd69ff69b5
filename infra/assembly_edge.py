"""The front door of a stack, and the connections through it."""

from __future__ import annotations

import pulumi

from infra.components.edge import HTTP_PORT, HTTPS_PORT, Edge, EdgeArgs
from infra.components.platform_flows import dns
from infra.flows import Flow, Namespace, Networks, service
from infra.naming import EDGE, GATEWAY, Stack
from infra.settings import Settings
from services.kit.conventions import MCP_PORT

_CONTROL_PLANE_PORT = 15012
"""Where istiod hands out configuration and certificates."""


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
        return [Flow(source=Networks(cidrs=where.cidrs), target=gateway, port=MCP_PORT)]
    if where.namespace:
        return [Flow(source=Namespace(name=where.namespace), target=gateway, port=MCP_PORT)]
    proxies = service(EDGE)
    control_plane = Namespace(name=where.control_plane_namespace, pods={"app": "istiod"})
    ports = (HTTPS_PORT, HTTP_PORT) if settings.edge.redirect else (HTTPS_PORT,)
    return [
        *(Flow(source=clients, target=proxies, port=port) for port in ports),
        Flow(source=proxies, target=gateway, port=MCP_PORT),
        Flow(source=proxies, target=control_plane, port=_CONTROL_PLANE_PORT),
        *dns(settings.network, proxies),
    ]
