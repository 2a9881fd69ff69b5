"""Stacks that the repository does not have: what settings can ask for, as whole graphs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra.engine.check import check
from infra.engine.graph import Graph
from infra.errors import PlatformError
from tests.evaluated import evaluated

REPOSITORY = Path(__file__).resolve().parents[2]
DIGEST = "@sha256:" + "0" * 64

SMALLEST: dict[str, Any] = {
    "environment": "development",
    "cluster": {"embedded": "other"},
    "auth": {"audience": "http://127.0.0.1:8080/mcp", "dev_issuer": True},
    "network": {"api_server_cidrs": ["10.250.0.0/16"]},
}
EXTERNAL = {
    "redis": {
        "mode": "external",
        "host": "cache.example.com",
        "cidrs": ["10.9.0.0/24"],
        "password": {"name": "cache", "key": "password"},
    },
    "postgres": {
        "mode": "external",
        "host": "db.example.com",
        "cidrs": ["10.9.1.0/24"],
        "credentials": "database",
    },
}
SERVERS = {
    "servers": {
        "echo": {"kind": "module", "module": "echo", "replicas": 2},
        "weather": {
            "kind": "custom",
            "image": f"registry.example/team/weather{DIGEST}",
            "env": {"UNITS": "metric"},
            "secret_env": {"API_KEY": {"name": "weather", "key": "api"}},
            "egress_cidrs": ["203.0.113.0/24"],
        },
    }
}
OFFICIAL = {
    "redis": {
        "mode": "in-cluster",
        "image": f"docker.io/valkey/valkey{DIGEST}",
        "exporter_image": f"docker.io/oliver006/redis_exporter{DIGEST}",
    }
}


def evaluate(folder: Path, **groups: Any) -> Graph:
    values = {f"mcp-platform:{key}": value for key, value in {**SMALLEST, **groups}.items()}
    (folder / "Pulumi.yaml").write_text(f"name: mcp-platform\nruntime: python\nmain: {REPOSITORY}/infra/\n")
    (folder / "Pulumi.dev.yaml").write_text(json.dumps({"config": values}))
    return evaluated("dev", project=folder)


def names(graph: Graph, kind: str) -> set[str]:
    return {item.name for item in graph.kubernetes_objects() if item.type.endswith(f":{kind}")}


def images(graph: Graph) -> set[str]:
    return set(graph.by_type("docker-build:index:Image"))


def mandatory(graph: Graph) -> list[str]:
    found = [item for item in check(graph, REPOSITORY / "policies") if item.mandatory]
    return [f"{item.policy} {item.urn.rsplit('::', 1)[-1]}: {item.message}" for item in found]


def test_the_policy_pack_has_nothing_to_say_about_our_stacks(graph: Graph) -> None:
    assert mandatory(graph) == []


def test_the_smallest_stack_has_a_gateway_and_its_stores(tmp_path: Path) -> None:
    graph = evaluate(tmp_path)
    assert names(graph, "Deployment") == {"gateway"}
    assert names(graph, "StatefulSet") == {"redis", "postgres"}
    assert images(graph) == {"gateway", "redis", "postgres"}
    (provider,) = graph.by_type("pulumi:providers:kubernetes").values()
    assert provider.inputs["context"] == "mcp-other"


def test_external_stores_leave_nothing_of_theirs_in_the_cluster(tmp_path: Path) -> None:
    graph = evaluate(tmp_path, **EXTERNAL)
    assert names(graph, "StatefulSet") == set()
    made = {"token-issuer", "gateway-issuer-keys", "gateway-database", "gateway-state-keys"}
    assert names(graph, "Secret") == made
    assert {"redis", "postgres"}.isdisjoint(names(graph, "NetworkPolicy"))
    assert images(graph) == {"gateway"}
    assert mandatory(graph) == []


def test_servers_of_every_kind(tmp_path: Path) -> None:
    graph = evaluate(tmp_path, **SERVERS)
    assert names(graph, "Deployment") == {"gateway", "echo", "weather"}
    assert names(graph, "PodDisruptionBudget") == {"echo"}
    assert names(graph, "PersistentVolumeClaim") == set()
    assert "weather" in names(graph, "NetworkPolicy")
    assert images(graph) == {"gateway", "servers", "redis", "postgres"}


def own_server(folder: Path, **settings: Any) -> dict[str, Any]:
    """A server in a folder of the user's, outside of the project."""
    (folder / "weather").mkdir()
    (folder / "weather/Dockerfile").write_text("ARG BASE\nFROM ${BASE}\nCOPY server.py /app/\nUSER 10001\n")
    (folder / "weather/server.py").write_text("print('fine')\n")
    built = {"kind": "custom", "build": {"context": str(folder / "weather")}, **settings}
    return {"servers": {"weather": built}}


def test_a_users_own_server_is_built_and_named_by_what_its_dockerfile_copies(tmp_path: Path) -> None:
    servers = own_server(tmp_path, health="port")
    graph = evaluate(tmp_path, **servers)
    assert images(graph) == {"gateway", "redis", "postgres", "server-weather"}
    image = graph.by_type("docker-build:index:Image")["server-weather"].inputs
    assert image["context"]["location"] == str(tmp_path / "weather")
    pod = graph.by_type("kubernetes:apps/v1:Deployment")["weather"].inputs["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == image["tags"][0]
    # It is not made with the kit: nothing is asked of it but that its port is open.
    assert [port["name"] for port in container["ports"]] == ["mcp"]
    probes = [container[f"{name}Probe"] for name in ("startup", "readiness", "liveness")]
    assert [probe["tcpSocket"] for probe in probes] == [{"port": "mcp"}] * 3
    assert mandatory(graph) == []
    (tmp_path / "weather/notes").write_text("not copied")
    assert evaluate(tmp_path, **servers).by_type("docker-build:index:Image")["server-weather"].inputs == image
    (tmp_path / "weather/server.py").write_text("print('rain')\n")
    changed = evaluate(tmp_path, **servers).by_type("docker-build:index:Image")["server-weather"].inputs
    assert changed["tags"] != image["tags"]


def test_what_an_own_server_is_built_of_must_be_there(tmp_path: Path) -> None:
    servers = own_server(tmp_path)
    (tmp_path / "weather/server.py").unlink()
    with pytest.raises(PlatformError, match=r"image server-weather: .*COPY names server\.py"):
        evaluate(tmp_path, **servers)
    (tmp_path / "weather/Dockerfile").unlink()
    with pytest.raises(PlatformError, match=r"image server-weather: .*weather/Dockerfile"):
        evaluate(tmp_path, **servers)


def test_official_images_replace_the_built_ones(tmp_path: Path) -> None:
    graph = evaluate(tmp_path, **OFFICIAL)
    assert images(graph) == {"gateway", "postgres"}
    pod = graph.by_type("kubernetes:apps/v1:StatefulSet")["redis"].inputs["spec"]["template"]["spec"]
    assert {container["image"] for container in pod["containers"]} == {
        OFFICIAL["redis"]["image"],
        OFFICIAL["redis"]["exporter_image"],
    }


def test_a_removed_server_takes_all_of_its_objects_along(tmp_path: Path) -> None:
    with_servers = {item.urn for item in evaluate(tmp_path, **SERVERS).resources}
    without = {item.urn for item in evaluate(tmp_path).resources}
    assert without < with_servers
    assert all(any(word in urn for word in ("echo", "weather", "servers")) for urn in with_servers - without)


def test_a_wrong_stack_file_is_refused_by_the_program_itself(tmp_path: Path) -> None:
    """The whole way: file, engine, program, message."""
    with pytest.raises(PlatformError) as caught:
        evaluate(tmp_path, gatway={"replicas": 2}, environment="staging")
    lines = str(caught.value).split("\n")
    assert any(
        line.startswith("stack dev: gatway = {…}: unknown key; did you mean gateway?") for line in lines
    )
    assert any(line.startswith('stack dev: environment = "staging": must be') for line in lines)
    assert all(line.count("stack dev: ") == 1 for line in lines)
    assert "Pulumi.dev.yaml" in caught.value.hint
