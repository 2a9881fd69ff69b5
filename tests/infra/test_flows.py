"""Both stacks' network policies let through the flows of the architecture, and no other."""

from __future__ import annotations

from typing import Any

from infra.cluster.netpol.model import Pod
from infra.engine.graph import Graph
from infra.engine.manifest import manifests
from tests.infra.flows import Place, declared_pods, flows

MONITORING = "monitoring"
OPERATOR = "cnpg-system"
PLACES = {
    "dev": {"api-server": ("10.250.0.1", 6443), "node-dns": ("10.250.0.1", 53)},
    "prod": {
        "api-server": ("10.0.1.5", 443),
        "node-dns": ("10.0.1.6", 53),
        "s3": ("10.1.0.9", 443),
        "pod-identity": ("169.254.170.23", 80),
        "traces": ("10.20.0.9", 443),
        "logs": ("10.20.1.9", 443),
    },
}
OUTSIDE = {"internet": ("203.0.113.9", 443), "metadata": ("169.254.169.254", 80)}
JOBS = (
    *("backup-configuration", "backup-postgres", "backup-redis"),
    *("restore-configuration", "restore-drill", "restore-postgres", "restore-redis"),
)
EXPECTED = {
    "dev": {
        "gateway→filesystem:8080",
        "gateway→redis:6379",
        "gateway→postgres:5432",
        "gateway→api-server:6443",
        "gateway→node-dns:53",
        "filesystem→node-dns:53",
    },
    "prod": {
        "gateway→filesystem:8080",
        "gateway→redis:6379",
        "gateway→redis:26379",
        "gateway→postgres:5432",
        "gateway→api-server:443",
        "redis→redis:6379",
        "redis→redis:26379",
        "redis→dns:53",
        "postgres→postgres:5432",
        "postgres→postgres:8000",
        "postgres→api-server:443",
        "postgres→s3:443",
        "postgres→pod-identity:80",
        "postgres→dns:53",
        "operator→postgres:5432",
        "operator→postgres:8000",
        "gateway→otel-collector:4318",
        "filesystem→otel-collector:4318",
        "otel-collector→traces:443",
        "otel-collector→dns:53",
        "log-collector→logs:443",
        "log-collector→dns:53",
        "prometheus→otel-collector:9090",
        "prometheus→log-collector:9090",
        "backup-configuration→api-server:443",
        *(f"{job}-postgres→postgres:5432" for job in ("backup", "restore")),
        *(f"{job}-redis→redis:6379" for job in ("backup", "restore")),
        *(f"{job}→{place}" for job in JOBS for place in ("s3:443", "pod-identity:80", "dns:53")),
    },
}
OF_CLIENTS = {"gateway:8080"}
"""Whoever is let out may call the gateway: its clients are everywhere, or behind the front door."""
FRONT_DOOR = "envoy-gateway-system"
OF_MONITORING = {
    "dev": {"gateway:9090", "filesystem:9090", "redis:9090", "postgres:9090"},
    "prod": {"gateway:9090", "filesystem:9090", "redis:9090", "postgres:9187"},
}
OF_PODS = {"gateway→dns:53", "filesystem→dns:53"}
"""The cluster's own DNS, where it is a pod."""


def surroundings(stack: str) -> list[Place]:
    """What is around a stack: its cluster's services, other namespaces, the world."""
    pods = [
        Pod(MONITORING, "prometheus", {}, "10.98.0.2"),
        Pod(FRONT_DOOR, "front-door", {}, "10.98.0.7"),
        Pod("elsewhere", "stranger", {"app.kubernetes.io/name": "gateway"}, "10.98.0.3"),
        Pod(OPERATOR, "operator", {"app.kubernetes.io/name": "cloudnative-pg"}, "10.98.0.5"),
        Pod(OPERATOR, "neighbour", {"app.kubernetes.io/name": "other"}, "10.98.0.6"),
    ]
    dns = Pod("kube-system", "dns", {"k8s-app": "kube-dns"}, "10.98.0.4")
    return [
        *(Place(pod.name, pod.address, pod=pod) for pod in pods),
        Place("dns", dns.address, [53], dns),
        *(Place(name, address, [port]) for name, (address, port) in {**PLACES[stack], **OUTSIDE}.items()),
    ]


def test_exactly_the_flows_of_the_architecture_are_open(graph: Graph) -> None:
    objects: list[Any] = [item.body for item in manifests(graph)]
    policies = [item for item in objects if item["kind"] == "NetworkPolicy"]
    namespaces = {
        name: {"kubernetes.io/metadata.name": name}
        for name in (
            MONITORING,
            OPERATOR,
            FRONT_DOOR,
            "elsewhere",
            "kube-system",
            f"mcp-{graph.stack}",
            f"logs-mcp-{graph.stack}",
        )
    }
    own = declared_pods(objects)
    around = surroundings(graph.stack)
    found = flows(policies, [*own, *around], namespaces)
    names = {place.name for place in own}
    # The metadata address is nobody's client: it is cut out of every network.
    clients = {place.name for place in around} - {"metadata"} if graph.stack == "dev" else {"front-door"}
    assert {flow for flow in found if names & ends(flow)} == {
        *EXPECTED[graph.stack],
        *OF_PODS,
        *(f"prometheus→{it}" for it in OF_MONITORING[graph.stack]),
        *(f"{client}→{it}" for client in clients for it in OF_CLIENTS),
    }


def ends(flow: str) -> set[str]:
    sender, _, receiver = flow.partition("→")
    return {sender, receiver.partition(":")[0]}
