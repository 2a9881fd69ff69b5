"""Stacks on Docker that the repository does not have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.engine.check import check
from infra.engine.compose.document import CONTAINER, NETWORK, document
from infra.engine.graph import Graph
from tests.evaluated import evaluated
from tests.infra.test_docker_stack import networks, running

REPOSITORY = Path(__file__).resolve().parents[2]
DIGEST = "@sha256:" + "0" * 64
MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"
ISSUER = {
    "name": "corporate",
    "issuer": "https://login.example.com/",
    "jwks_uri": "https://login.example.com/keys",
    "cidrs": ["203.0.113.0/24"],
}
GROUPS: dict[str, Any] = {
    "environment": "development",
    "cluster": {"docker": {"port": 9000}},
    "auth": {"audience": "http://127.0.0.1:9000/mcp", "issuers": [ISSUER]},
    "gateway": {"audit": {"sink": "log"}},
    "servers": {
        "echo": {"kind": "module", "module": "echo"},
        "files": {"kind": "filesystem", "read_only": True},
        "weather": {
            "kind": "custom",
            "image": f"ghcr.io/team/weather{DIGEST}",
            "egress_cidrs": ["0.0.0.0/0"],
        },
    },
}


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    folder = tmp_path_factory.mktemp("variant")
    config = {f"mcp-platform:{key}": value for key, value in GROUPS.items()}
    (folder / "Pulumi.yaml").write_text(f"name: mcp-platform\nruntime: python\nmain: {REPOSITORY}/infra/\n")
    (folder / "Pulumi.lab.yaml").write_text(yaml.safe_dump({"config": config}))
    return evaluated("lab", project=folder)


def test_policies_are_kept(graph: Graph) -> None:
    assert [item for item in check(graph, REPOSITORY / "policies") if item.mandatory] == []


def test_policies_see_what_a_container_is_given(graph: Graph) -> None:
    open_port = {"internal": 8080, "external": 8080, "ip": "0.0.0.0"}
    wrong = {"ports": [open_port], "envs": ["API_TOKEN=hunter2"], "readOnly": False}
    changed = tuple(
        replace(item, inputs={**item.inputs, **wrong})
        if (item.type, item.name) == (CONTAINER, "echo")
        else item
        for item in graph.resources
    )
    found = check(replace(graph, resources=changed), REPOSITORY / "policies")
    assert {item.policy for item in found if item.mandatory} == {
        "docker-loopback",
        "docker-read-only",
        "docker-secret-in-env",
    }


def test_a_server_that_calls_the_world_has_a_network_of_its_own_for_that(graph: Graph) -> None:
    found = {name: networks(item) for name, item in running(graph).items()}
    bare = {name: {item.removeprefix("mcp-lab-") for item in names} for name, names in found.items()}
    assert bare["weather"] == {"weather", "weather_out"}
    assert (bare["echo"], bare["files"]) == ({"echo"}, {"files"})
    way_out = graph.by_type(NETWORK)["weather_out"].inputs
    assert (way_out["internal"], way_out["options"][MASQUERADE]) == (False, "true")


def test_the_gateway_is_let_out_where_keys_of_issuers_are_fetched(graph: Graph) -> None:
    assert graph.by_type(NETWORK)["edge"].inputs["options"][MASQUERADE] == "true"


def test_nothing_runs_once_where_the_gateway_keeps_nothing_in_postgres(graph: Graph) -> None:
    assert "migrate" not in graph.by_type(CONTAINER)


def test_volumes_that_are_only_read_are_mounted_so(graph: Graph) -> None:
    assert [volume["readOnly"] for volume in running(graph)["files"]["volumes"]] == [True]


def test_what_an_unknown_image_can_answer_is_its_own_to_say(graph: Graph) -> None:
    assert "healthcheck" not in running(graph)["weather"]


def test_the_gateway_is_published_where_the_settings_say(graph: Graph) -> None:
    data = document(graph, "mcp-lab").data
    assert [port["published"] for port in data["services"]["gateway"]["ports"]] == ["9000"]
    assert graph.outputs["url"] == "http://127.0.0.1:9000/mcp"


def test_only_images_that_are_built_here_are_never_pulled(graph: Graph) -> None:
    services = document(graph, "mcp-lab").data["services"]
    assert services["echo"]["pull_policy"] == "never"
    assert "pull_policy" not in services["weather"]
