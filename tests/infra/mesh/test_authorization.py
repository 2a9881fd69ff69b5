"""By identity, the mesh lets through what network policies do by address, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from infra.custom_resources import to_data
from infra.engine.graph import Graph
from infra.flows import Flow, Networks, Pods, service
from infra.mesh.authorization import Trust, build_peers, build_policies
from infra.mesh.flows import TUNNEL_PORT, mesh_flows
from infra.naming import Stack
from infra.settings.groups import Network
from infra.settings.mesh import Mesh as Settings
from tests.infra.flows import WORKLOADS, Place, declared_pods, flows, template_of
from tests.infra.mesh.authorized import Call, Caller, Mesh, permitted
from tests.infra.mesh.stacks import bodies, evaluate_in_mesh
from tests.infra.test_flows import (
    EXPECTED,
    FRONT_DOOR,
    MONITORING,
    OF_CLIENTS,
    OF_MONITORING,
    OPERATOR,
    surroundings,
)

NETWORK = Network(api_server_cidrs=("10.250.0.0/16",))
CALLERS = {
    "prometheus": (MONITORING, "kube-prometheus-stack-prometheus"),
    "operator": (OPERATOR, "cnpg-cloudnative-pg"),
    "front-door": (FRONT_DOOR, "envoy-mcp-prod-edge-8108dc24"),
}
"""Whom prod knows in other namespaces."""
OTHERS = {"stranger": ("elsewhere", "gateway"), "neighbour": (OPERATOR, "neighbour")}
"""In the mesh, too: one calls itself as the gateway does, and one is where somebody is who may call."""


def places(graph: Graph) -> tuple[list[Place], list[Place]]:
    """The stack's pods, and who is around. Nobody connects from the address of a cloud's metadata."""
    return declared_pods(bodies(graph)), [it for it in surroundings(graph.stack) if it.name != "metadata"]


def identities(graph: Graph, mesh: Mesh) -> dict[str, str]:
    """Of all in the mesh: the stack's pods, and others with service accounts."""
    own: dict[str, str] = {}
    for item in bodies(graph):
        name = item["metadata"]["name"]
        if item["kind"] in WORKLOADS:
            own[name] = mesh.principal(template_of(item)["spec"]["serviceAccountName"])
        elif item["kind"] == "Cluster":
            own[name] = mesh.principal(name)
    known = {**OTHERS, **(CALLERS if graph.stack == "prod" else {})}
    return own | {name: mesh.principal(account, where) for name, (where, account) in known.items()}


def by_network_policies(graph: Graph) -> set[str]:
    own, around = places(graph)
    policies = [item for item in bodies(graph) if item["kind"] == "NetworkPolicy"]
    namespaces = {
        name: {"kubernetes.io/metadata.name": name}
        for name in (MONITORING, OPERATOR, FRONT_DOOR, "elsewhere", "kube-system", f"mcp-{graph.stack}")
    }
    receivers = {place.name for place in own}
    found = flows(policies, [*own, *around], namespaces)
    return {flow for flow in found if flow.partition("→")[2].partition(":")[0] in receivers}


def by_identity(graph: Graph) -> set[str]:
    mesh = Mesh(bodies(graph))
    own, around = places(graph)
    return mesh.flows([*own, *around], identities(graph, mesh))


def test_identity_and_address_let_the_same_through(meshed: Graph) -> None:
    found = by_identity(meshed)
    if meshed.stack == "dev":
        # Prometheus has no identity there, and is told from others who have none by its address only.
        anonymous = {f for f in found if f.endswith(":9090") and not f.startswith("prometheus→")}
        assert not {f.partition("→")[0] for f in anonymous} & {
            *OTHERS,
            *(it.name for it in places(meshed)[0]),
        }
        found -= anonymous
    assert found == by_network_policies(meshed)


def test_exactly_the_flows_of_the_architecture_are_let_through(meshed: Graph) -> None:
    found = by_identity(meshed)
    if meshed.stack == "prod":
        own = {place.name for place in places(meshed)[0]}
        inside = {flow for flow in EXPECTED["prod"] if flow.partition("→")[2].partition(":")[0] in own}
        scraped = {f"prometheus→{it}" for it in OF_MONITORING["prod"]}
        assert found == inside | scraped | {f"front-door→{it}" for it in OF_CLIENTS}
    else:
        inside = {flow for flow in found if flow.startswith("gateway→")}
        assert inside == {
            f"gateway→{to}" for to in ("echo:8080", "weather:8080", "redis:6379", "postgres:5432")
        }


def server(graph: Graph) -> Place:
    return next(it for it in places(graph)[0] if it.name in {"filesystem", "echo"})


def test_only_the_waypoint_reaches_an_ambient_server_and_only_for_the_gateway(meshed: Graph) -> None:
    mesh, to = Mesh(bodies(meshed)), server(meshed)
    gateway = Caller("10.0.0.9", mesh.principal("gateway"))
    assert mesh.allows_at_pod(gateway, to, 8080) != mesh.ambient
    assert mesh.allows_by_waypoint(gateway, to, 8080) == mesh.ambient
    assert not mesh.allows(Caller("10.0.0.9", mesh.principal("redis")), to, 8080)
    assert not mesh.allows(Caller("10.0.0.9", None), to, 8080)


@pytest.mark.parametrize("call", [Call(8080, "GET", "/mcp"), Call(8080, "POST", "/admin")])
def test_servers_get_no_other_requests_than_those_of_mcp(meshed: Graph, call: Call) -> None:
    mesh, name = Mesh(bodies(meshed)), server(meshed).name
    policies: dict[str, Mapping[str, Any]] = {
        item["metadata"]["name"]: item for item in mesh.by_kind["AuthorizationPolicy"]
    }
    policy = policies[f"requests.{name}" if mesh.ambient else name]
    gateway = Caller("10.0.0.9", mesh.principal("gateway"))
    assert permitted([policy], gateway, replace(call, method="POST", path="/mcp"))
    assert not permitted([policy], gateway, call)


def test_plain_text_is_taken_where_callers_are_outside_of_the_mesh_only(meshed: Graph) -> None:
    mesh = Mesh(bodies(meshed))
    own, _ = places(meshed)
    plain = {
        f"{place.name}:{port}"
        for place in own
        if place.pod
        for port in place.ports
        if mesh.mode(place.pod.labels, port) != "STRICT"
    }
    scraped = {f"{name}:9090" for name in ("echo", "gateway", "redis", "postgres", "weather")}
    assert plain == (set() if meshed.stack == "prod" else {"gateway:8080", *scraped})


def test_proxies_of_a_front_door_in_the_namespace_call_by_their_own_account(stack: Stack) -> None:
    edge, gateway = service("edge"), service("gateway")
    clients = Networks(cidrs=("192.0.2.0/24",))
    trust = Trust(
        stack=stack,
        mesh=Settings(),
        flows=[
            Flow(source=clients, target=edge, port=443),
            Flow(source=edge, target=gateway, port=8080),
        ],
        services={"gateway": "gateway"},
        routed=(),
        proxies={"edge": "edge-istio"},
    )
    policies, peers = to_data(build_policies(trust)), to_data(build_peers(trust))
    assert peers == {"default": {"mtls": {"mode": "STRICT"}}}, "the gateway's clients are in the mesh now"
    assert policies["edge"]["targetRefs"] == [
        {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}
    ]
    assert policies["edge"]["rules"][0]["from"][0]["source"]["ipBlocks"] == ["192.0.2.0/24"]
    (rule,) = policies["gateway"]["rules"]
    assert rule["from"] == [{"source": {"principals": ["cluster.local/ns/mcp-dev/sa/edge-istio"]}}]
    tunnels = [flow for flow in mesh_flows(trust, NETWORK) if flow.port == TUNNEL_PORT]
    assert tunnels == [Flow(source=edge, target=gateway, port=TUNNEL_PORT)]


def test_pods_that_an_operator_makes_are_members_by_their_title(stack: Stack) -> None:
    cluster = Pods(title="postgres")
    trust = Trust(
        stack=stack,
        mesh=Settings(),
        flows=[Flow(source=cluster, target=cluster, port=5432)],
        services={},
        routed=(),
    )
    policy = to_data(build_policies(trust))["postgres"]
    assert policy["selector"] == {"matchLabels": cluster.labels(stack)}
    (rule,) = policy["rules"]
    assert rule["from"] == [{"source": {"principals": ["cluster.local/ns/mcp-dev/sa/postgres"]}}]


def test_another_trust_domain_is_another_identity(tmp_path_factory: pytest.TempPathFactory) -> None:
    graph = evaluate_in_mesh(tmp_path_factory.mktemp("prod"), "prod")
    mesh = Mesh(bodies(graph), "elsewhere.example")
    assert by_identity(graph) > mesh.flows(places(graph)[0], identities(graph, mesh))
