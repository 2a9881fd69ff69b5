"""Whatever the mesh's objects name is there."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from infra.engine.graph import Graph
from tests.evaluated import evaluated
from tests.infra.mesh.references import Objects, dangling
from tests.infra.mesh.stacks import bodies, evaluate_in_mesh

KINDS = {"AuthorizationPolicy", "DestinationRule", "PeerAuthentication"}


def test_every_reference_of_the_mesh_resolves(meshed: Graph) -> None:
    objects = bodies(meshed)
    kinds = {item["kind"] for item in objects}
    assert kinds >= KINDS
    assert kinds & {"HTTPRoute", "VirtualService"}
    assert dangling(objects) == []


def test_every_reference_of_the_repositorys_stacks_resolves(graph: Graph) -> None:
    assert dangling(bodies(graph)) == []


@pytest.fixture(scope="module")
def ambient() -> list[Any]:
    return bodies(evaluated("prod"))


@pytest.fixture(scope="module")
def sidecars(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return bodies(evaluate_in_mesh(tmp_path_factory.mktemp("sidecars"), "prod with sidecars"))


BROKEN = [
    (
        "AuthorizationPolicy/redis",
        "spec.selector.matchLabels.app.kubernetes.io/name",
        "rediss",
        "selects no pod",
    ),
    ("AuthorizationPolicy/redis", "spec.rules.0.to.0.operation.ports.0", "6380", "no port 6380"),
    (
        "AuthorizationPolicy/redis",
        "spec.rules.0.from.0.source.principals.0",
        "cluster.local/ns/mcp-prod/sa/gatway",
        "nobody is gatway",
    ),
    (
        "AuthorizationPolicy/redis",
        "spec.rules.1.from.0.source.principals.0",
        "cluster.local/ns/observability/sa/prometheus",
        "no network policy lets namespace observability in",
    ),
    ("AuthorizationPolicy/requests.filesystem", "spec.targetRefs.0.name", "files", "no Service files"),
    ("AuthorizationPolicy/waypoint", "spec.targetRefs.0.name", "gate", "no Gateway gate"),
    ("DestinationRule/filesystem", "spec.host", "files", "no Service files"),
    ("Gateway/waypoint", "spec.infrastructure.parametersRef.name", "other", "no ConfigMap other"),
    ("HTTPRoute/filesystem", "spec.parentRefs.0.name", "files", "no Service files"),
    ("HTTPRoute/filesystem", "spec.parentRefs.0.port", 80, "Service filesystem has no port 80"),
    ("HTTPRoute/filesystem", "spec.rules.0.backendRefs.0.port", 80, "Service filesystem has no port 80"),
    ("HTTPRoute/filesystem", "spec.parentRefs.0", {"name": "front"}, "no Gateway front"),
    (
        "HTTPRoute/filesystem",
        "spec.parentRefs.0",
        {"name": "waypoint", "sectionName": "https"},
        "Gateway waypoint has no listener https",
    ),
    (
        "PeerAuthentication/default",
        "spec",
        {
            "selector": {"matchLabels": {"app.kubernetes.io/name": "gateway"}},
            "portLevelMtls": {"8081": {"mode": "PERMISSIVE"}},
        },
        "no port 8081",
    ),
    ("HTTPRoute/edge", "spec.parentRefs.0.sectionName", "smtp", "Gateway edge has no listener smtp"),
    ("AuthorizationPolicy/postgres", "spec.selector.matchLabels.cnpg.io/cluster", "pg", "selects no pod"),
    ("Service/filesystem", "metadata.labels.istio.io/use-waypoint", "gate", "no waypoint gate"),
    ("VirtualService/filesystem", "spec.hosts.0", "files", "no Service files"),
    (
        "VirtualService/filesystem",
        "spec.http.0.route.0.destination.port.number",
        80,
        "Service filesystem has no port 80",
    ),
]


@pytest.mark.parametrize(("reference", "path", "value", "problem"), BROKEN)
def test_a_reference_that_leads_nowhere_is_found(
    ambient: list[Any], sidecars: list[Any], reference: str, path: str, value: Any, problem: str
) -> None:
    objects = copy.deepcopy(sidecars if reference.startswith("VirtualService") else ambient)
    kind, _, name = reference.partition("/")
    target = Objects(objects).named(kind, name)
    assert target is not None
    put(target, path, value)
    assert f"{kind} {name}: {problem}" in dangling(objects)


def put(target: Any, path: str, value: Any) -> None:
    """Set the field at `a.0.b`; a label's key, which has dots, is the longest rest that is there."""
    while path not in target:
        name, _, path = path.partition(".")
        target = target[int(name)] if isinstance(target, list) else target[name]
        if isinstance(target, list) and path.isdigit():
            break
    if isinstance(target, list):
        target[int(path)] = value
    else:
        target[path] = value
