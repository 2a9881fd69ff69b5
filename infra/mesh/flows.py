"""The connections that the mesh itself needs, for the network policies. Pure.

In an ambient mesh the nodes' proxies carry what pods send each other through a tunnel. Network policies then
see the pods' addresses and the tunnel's port; which port is meant inside of it, only authorization can tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from infra.components.platform_flows import dns
from infra.flows import ALL_PODS, Flow, Namespace, Networks, Pods, service
from infra.mesh.authorization import Trust
from infra.naming import COLLECTOR, WAYPOINT
from infra.settings.groups import Network
from infra.telemetry.parts import HEALTH_PORT

TUNNEL_PORT: Final = 15008
PROBES: Final = Networks(cidrs=("169.254.7.127/32", "fd16:9254:7127:1337:ffff:ffff:ffff:ffff/128"))
"""Where the kubelet's probes come from in an ambient mesh, which is how it tells them from others."""

_ASKED: Final = {COLLECTOR: HEALTH_PORT}
"""Services that the kubelet asks at a port to which there is no flow."""
_ISTIOD_PORT: Final = 15012
_PROXY_METRICS_PORT: Final = 15020


def mesh_flows(trust: Trust, network: Network) -> list[Flow]:
    """Beside the stack's own."""
    proxies = service(WAYPOINT) if trust.mesh.mode == "ambient" else ALL_PODS
    istiod = Namespace(name=trust.mesh.control_plane_namespace, pods={"app": "istiod"})
    prometheus = Namespace(name=network.monitoring_namespace)
    return [
        *(_without_repetition(_tunnels(trust)) if trust.mesh.mode == "ambient" else []),
        Flow(source=proxies, target=istiod, port=_ISTIOD_PORT),
        *dns(network, proxies),
        Flow(source=prometheus, target=proxies, port=_PROXY_METRICS_PORT),
    ]


def _tunnels(trust: Trust) -> Iterator[Flow]:
    """What the nodes' proxies let through to pods, beside the connections themselves."""
    waypoint = service(WAYPOINT)
    asked = [name for name in trust.targets() if name in _ASKED]
    yield from (Flow(source=PROBES, target=service(name), port=_ASKED[name]) for name in asked)
    for flow in trust.flows:
        if not isinstance(flow.target, Pods) or "TCP" not in flow.protocols:
            continue
        if set(trust.members(flow.target)) <= trust.proxies.keys():
            continue  # what comes to a Gateway's own proxies is no tunnel's
        yield Flow(source=PROBES, target=flow.target, port=flow.port, name=flow.name)
        if any(trust.at_waypoint(name, flow) for name in trust.members(flow.target)):
            yield Flow(source=flow.source, target=waypoint, port=TUNNEL_PORT)
            yield Flow(source=waypoint, target=flow.target, port=TUNNEL_PORT)
        elif isinstance(flow.source, Networks) or not trust.is_outside(flow.source):
            # Among the clients of a network there may be pods of the mesh.
            yield Flow(source=flow.source, target=flow.target, port=TUNNEL_PORT)


def _without_repetition(flows: Iterable[Flow]) -> list[Flow]:
    found: list[Flow] = []
    for flow in flows:
        if flow not in found:
            found.append(flow)
    return found
