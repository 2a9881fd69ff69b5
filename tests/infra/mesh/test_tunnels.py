"""In an ambient mesh, network policies let the tunnel and the kubelet through: exactly where they must."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from infra.cluster.netpol.model import Pod
from infra.engine.graph import Graph
from infra.mesh.flows import PROBES, TUNNEL_PORT
from infra.naming import WAYPOINT
from tests.infra.flows import INSTANCE_PORTS, WORKLOADS, Place, flows, template_of
from tests.infra.mesh.authorized import Caller, Mesh
from tests.infra.mesh.stacks import bodies
from tests.infra.mesh.test_authorization import identities, places
from tests.infra.test_flows import FRONT_DOOR, MONITORING, OPERATOR

ISTIOD, ISTIOD_PORT = "istiod", 15012
PROXY_METRICS_PORT = 15020
pytestmark = pytest.mark.parametrize("meshed", ["prod", "dev"], indirect=True)
"""Sidecars are in the pods themselves, and the kubelet then calls from the node."""

SPACES = (MONITORING, OPERATOR, FRONT_DOOR, "elsewhere", "kube-system", "istio-system", "mcp-prod", "mcp-dev")


def allowed(graph: Graph, found: list[Place]) -> set[str]:
    policies = [item for item in bodies(graph) if item["kind"] == "NetworkPolicy"]
    return flows(policies, found, {name: {"kubernetes.io/metadata.name": name} for name in SPACES})


def asked_ports(pod: Mapping[str, Any]) -> Iterator[int]:
    """Where the kubelet connects to for the probes of a pod's containers."""
    for container in (*pod["containers"], *pod.get("initContainers", ())):
        named = {port["name"]: port["containerPort"] for port in container.get("ports", ())}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            for way in ("httpGet", "tcpSocket", "grpc"):
                if way in container.get(probe, {}):
                    port = container[probe][way]["port"]
                    yield named.get(port, port)


def probes(graph: Graph) -> set[str]:
    found = {
        f"kubelet→{item['metadata']['name']}:{port}"
        for item in bodies(graph)
        if item["kind"] in WORKLOADS
        for port in asked_ports(template_of(item)["spec"])
    }
    operated = [item["metadata"]["name"] for item in bodies(graph) if item["kind"] == "Cluster"]
    return found | {f"kubelet→{name}:{INSTANCE_PORTS['status']}" for name in operated}


def test_the_kubelet_reaches_every_probe(meshed: Graph) -> None:
    """From the address that Istio gives its probes: a pod is never ready otherwise."""
    address = PROBES.cidrs[0].partition("/")[0]
    wanted = probes(meshed)
    assert {"kubelet→gateway:9090", "kubelet→redis:6379"} <= wanted
    assert wanted <= allowed(meshed, [*places(meshed)[0], Place("kubelet", address)])


def waypoint_of(graph: Graph) -> Place:
    (gateway,) = (
        it for it in bodies(graph) if it["kind"] == "Gateway" and it["metadata"]["name"] == WAYPOINT
    )
    own = gateway["spec"]["infrastructure"]["labels"]
    pod = Pod(f"mcp-{graph.stack}", WAYPOINT, own, "10.99.1.1")
    return Place(WAYPOINT, pod.address, [TUNNEL_PORT, PROXY_METRICS_PORT], pod)


def tunnels(graph: Graph) -> set[str]:
    """What those with an identity need so that all that identities allow works, and nothing more."""
    mesh, (own, around) = Mesh(bodies(graph)), places(graph)
    known = identities(graph, mesh)
    found: set[str] = set()
    for receiver in own:
        for sender in (*own, *around):
            if sender.name not in known or (sender is receiver and not sender.several):
                continue
            caller = Caller(sender.address, known[sender.name])
            for port in receiver.ports:
                if mesh.allows_at_pod(caller, receiver, port):
                    found.add(f"{sender.name}→{receiver.name}:{TUNNEL_PORT}")
                if mesh.allows_by_waypoint(caller, receiver, port):
                    found |= {
                        f"{sender.name}→{WAYPOINT}:{TUNNEL_PORT}",
                        f"{WAYPOINT}→{receiver.name}:{TUNNEL_PORT}",
                    }
    return found


def test_tunnels_are_open_for_what_identities_allow_and_for_nothing_else(meshed: Graph) -> None:
    own, around = places(meshed)
    everybody = [*(replace(place, ports=[TUNNEL_PORT]) for place in own), waypoint_of(meshed), *around]
    in_mesh = {*identities(meshed, Mesh(bodies(meshed))), WAYPOINT}
    found = {
        flow
        for flow in allowed(meshed, everybody)
        if flow.endswith(f":{TUNNEL_PORT}") and flow.partition("→")[0] in in_mesh
    }
    wanted = tunnels(meshed)
    assert wanted <= found
    # Who scrapes may open tunnels to pods without metrics, too: of the ports inside, only identity tells.
    assert all(flow.startswith("prometheus→") for flow in found - wanted)


def test_the_waypoint_gets_its_configuration_and_is_scraped(meshed: Graph) -> None:
    istiod = Pod("istio-system", ISTIOD, {"app": ISTIOD}, "10.98.0.8")
    own, around = places(meshed)
    everybody = [*own, *around, waypoint_of(meshed), Place(ISTIOD, istiod.address, [ISTIOD_PORT], istiod)]
    found = {flow for flow in allowed(meshed, everybody) if WAYPOINT in flow and "node-dns" not in flow}
    assert {flow for flow in found if not flow.endswith(f":{TUNNEL_PORT}")} == {
        f"{WAYPOINT}→{ISTIOD}:{ISTIOD_PORT}",
        f"{WAYPOINT}→dns:53",
        f"prometheus→{WAYPOINT}:{PROXY_METRICS_PORT}",
    }
