"""What a service mesh adds to a stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi

from infra.components.gateway import STREAM_SECONDS
from infra.flows import Flow
from infra.labels import Component
from infra.naming import EDGE, Stack
from infra.settings import Settings
from infra.settings.servers import AnyServer, CustomServer


def assemble_mesh(
    stack: Stack,
    settings: Settings,
    services: Mapping[str, Component],
    flows: Sequence[Flow],
    opts: pulumi.ResourceOptions,
) -> list[Flow]:
    """Declare the mesh's objects, if the stack is in one.

    Args:
        stack: The stack.
        settings: Its settings.
        services: All its services, and what part each of them plays.
        flows: Every connection that they open or take.
        opts: Of the component.

    Returns:
        The connections that the mesh needs beside them.
    """
    if settings.mesh is None:
        return []
    from infra.components.mesh import Mesh, MeshArgs  # noqa: PLC0415 - only where there is one
    from infra.mesh.authorization import Trust  # noqa: PLC0415 - as above
    from infra.mesh.flows import mesh_flows  # noqa: PLC0415 - as above
    from infra.mesh.traffic import Server  # noqa: PLC0415 - as above

    trust = Trust(
        stack=stack,
        mesh=settings.mesh,
        flows=flows,
        services=services,
        routed=settings.servers.keys(),
        # The front door's service account has its name: the Gateway's annotation says so.
        proxies={EDGE: EDGE} if settings.edge and settings.edge.proxies.beside else {},
    )
    servers = [
        Server(name=name, call_seconds=longest_call(server, settings))
        for name, server in sorted(settings.servers.items())
    ]
    Mesh("mesh", MeshArgs(trust=trust, servers=servers), opts)
    return mesh_flows(trust, settings.network)


def longest_call(server: AnyServer, settings: Settings) -> int:
    """Seconds that a server may take for a tool, and the gateway waits for it.

    The server kit ends tools itself. Of other servers only the gateway's patience is known: with a stream of
    progress, and with tasks.
    """
    if not isinstance(server, CustomServer):
        return server.timeout_seconds
    tasks = settings.gateway.tasks
    background = int(tasks.run_seconds) if tasks else 0
    return max(server.timeout_seconds, STREAM_SECONDS, background)
