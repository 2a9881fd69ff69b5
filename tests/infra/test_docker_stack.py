"""The stack on Docker as it is: containers, from the same builders as the pods of a stack on Kubernetes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.components.docker.container import build_healthcheck, cpus, memory_mib, temporary
from infra.components.docker.files import config_files
from infra.components.docker.networks import build_options
from infra.components.gateway import CONFIG_PATH
from infra.components.mounts import Files, api_access, files, scratch
from infra.components.pods import Container
from infra.components.probes import NO_PROBES, Probes, port_probes
from infra.engine.compose.document import CONTAINER, NETWORK, VOLUME
from infra.engine.graph import UNKNOWN, Graph, Secret
from infra.settings.workloads import Limits, Requests, Resources
from services.gateway.config import GatewayConfig
from tests.evaluated import evaluated

SNAPSHOT = Path(__file__).parent / "snapshots" / "docker.txt"
UPDATE = "UPDATE_SNAPSHOTS"

Plain = Callable[[object], Any]


@pytest.fixture(scope="module")
def docker() -> Graph:
    return evaluated("docker")


@pytest.fixture(scope="module")
def made(docker: Graph) -> Graph:
    """The same stack as a deployment evaluates it: passwords and keys are there."""
    outputs = {"result": "hunter2", "privateKeyPem": "private", "publicKeyPem": "public", "id": "made"}
    values = {item.urn: outputs for item in docker.resources if item.type.startswith(("random:", "tls:"))}
    return evaluated("docker", dry_run=False, generated=values)


def running(graph: Graph) -> dict[str, dict[str, Any]]:
    every = graph.by_type(CONTAINER)
    return {name: dict(item.inputs) for name, item in every.items() if item.inputs.get("start") is not False}


def uploads(graph: Graph, name: str) -> dict[str, Any]:
    container = graph.by_type(CONTAINER)[f"{name}-files"]
    return {upload["file"]: upload["content"] for upload in container.inputs["uploads"]}


def networks(container: dict[str, Any]) -> set[str]:
    return {item["name"].removeprefix("mcp-docker-") for item in container["networksAdvanced"]}


def test_the_stack_consists_of_what_its_snapshot_lists(docker: Graph) -> None:
    text = "".join(f"{line}\n" for line in sorted(f"{item.type} {item.name}" for item in docker.resources))
    if UPDATE in os.environ:
        SNAPSHOT.write_text(text)
    assert text == SNAPSHOT.read_text(), f"if this is intended, run again with {UPDATE}=1"


def test_nothing_is_known_only_after_a_deployment(docker: Graph, made: Graph) -> None:
    assert {item.urn for item in made.resources} == {item.urn for item in docker.resources}
    for item in made.resources:
        if item.type.startswith("docker:"):
            assert UNKNOWN not in leaves(item.inputs), item.urn


def leaves(value: Any) -> list[Any]:
    if isinstance(value, Secret):
        return leaves(value.value)
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item)]
    return [value]


def test_every_container_is_confined(docker: Graph) -> None:
    for name, container in running(docker).items():
        assert container["readOnly"] is True, name
        assert container["user"] == "10001:10001", name
        assert container["capabilities"] == {"drops": ["ALL"]}, name
        assert container["securityOpts"] == ["no-new-privileges:true"], name
        assert container["memory"] == container["memorySwap"] > 0, name
        assert float(container["cpus"]) > 0, name
        assert container["ulimits"] == [{"name": "nproc", "soft": 1024, "hard": 1024}], name
        assert container["logOpts"] == {"max-size": "10m", "max-file": "3"}, name
        assert "privileged" not in container, name


def test_all_that_lasts_is_asked_for_its_health_started_again_and_stopped_in_time(docker: Graph) -> None:
    containers = running(docker)
    migrate = containers.pop("migrate")
    assert (migrate["restart"], migrate["mustRun"], migrate["attach"]) == ("no", False, True)
    for name, container in containers.items():
        assert container["healthcheck"]["tests"][0] == "CMD", name
        assert container["restart"] == "unless-stopped", name
        assert container["stopTimeout"] >= 25, name


def test_only_the_gateway_is_published_and_only_on_loopback(docker: Graph) -> None:
    published = {name: item["ports"] for name, item in running(docker).items() if item.get("ports")}
    assert published == {
        "gateway": [{"internal": 8080, "external": 8080, "ip": "127.0.0.1", "protocol": "tcp"}]
    }


def test_stores_and_servers_share_a_network_with_the_gateway_alone(docker: Graph) -> None:
    found = {name: networks(item) for name, item in running(docker).items()}
    assert found == {
        "filesystem": {"filesystem"},
        "gateway": {"edge", "filesystem", "postgres", "redis"},
        "migrate": {"postgres"},
        "postgres": {"postgres"},
        "redis": {"redis"},
    }
    internal = {name for name, item in docker.by_type(NETWORK).items() if item.inputs["internal"]}
    assert internal == {"filesystem", "postgres", "redis"}


def test_secrets_are_files_and_neither_in_environments_nor_in_commands(made: Graph) -> None:
    for name, container in running(made).items():
        said = [leaf for key in ("envs", "command", "labels") for leaf in leaves(container.get(key))]
        assert not [text for text in said if "hunter2" in str(text)], name
    secret = {
        path: content for path, content in uploads(made, "gateway").items() if isinstance(content, Secret)
    }
    assert sorted(secret) == [
        "/etc/mcp-gateway/issuers/dev.pem",
        "/run/secrets/gateway-database/password",
        "/run/secrets/redis/password",
        "/run/secrets/state/first",
    ]
    assert {content.value for content in secret.values()} == {"hunter2", "public"}


def test_the_private_signing_key_is_in_no_container(made: Graph) -> None:
    every = [leaf for item in made.by_type(CONTAINER).values() for leaf in leaves(item.inputs)]
    assert "private" not in every


def test_files_go_through_a_container_that_is_never_started(docker: Graph) -> None:
    for name, item in docker.by_type(CONTAINER).items():
        if name.endswith("-files"):
            assert (item.inputs["start"], item.inputs["mustRun"]) == (False, False)
            filled = {volume["volumeName"] for volume in item.inputs["volumes"]}
            reader = running(docker)[name.removesuffix("-files")]
            read = {volume["volumeName"]: volume["readOnly"] for volume in reader["volumes"]}
            assert {volume: read[volume] for volume in filled} == dict.fromkeys(filled, True)
        else:
            assert "uploads" not in item.inputs


def test_data_is_on_volumes_of_their_own(docker: Graph) -> None:
    data = {name for name in docker.by_type(VOLUME) if name.endswith("-data")}
    assert data == {"filesystem-data", "postgres-data", "redis-data"}


def test_the_gateway_is_configured_as_on_kubernetes_but_for_where_its_servers_are(docker: Graph) -> None:
    here = yaml.safe_load(uploads(docker, "gateway")[f"{CONFIG_PATH}/config.yaml"])
    config_map = evaluated("dev").by_type("kubernetes:core/v1:ConfigMap")["gateway"]
    there = yaml.safe_load(config_map.inputs["data"]["config.yaml"])
    assert here.pop("servers") == [{"name": "filesystem", "urls": ["http://filesystem:8080/mcp"]}]
    assert there.pop("discovery") == {"kubernetes": {"namespace": "mcp-dev"}}
    assert here.pop("auth")["issuers"][0]["public_key_file"] == f"{CONFIG_PATH}/issuers/dev.pem"
    del there["auth"]
    assert here == there


def test_the_gateway_understands_its_configuration(docker: Graph) -> None:
    config = yaml.safe_load(uploads(docker, "gateway")[f"{CONFIG_PATH}/config.yaml"])
    assert [server.name for server in GatewayConfig(**config).servers] == ["filesystem"]


def test_an_init_container_of_the_pod_runs_once_before_the_gateway(docker: Graph) -> None:
    every = docker.by_type(CONTAINER)
    assert every["migrate"].urn in every["gateway"].dependencies
    assert every["postgres"].urn in every["migrate"].dependencies


def container(probes: Probes = NO_PROBES) -> Container:
    limits = Limits(cpu="250m", memory="64Mi")
    resources = Resources(requests=Requests(memory="64Mi"), limits=limits)
    return Container(name="a", image="a", ports={"mcp": 8080}, resources=resources, probes=probes)


def test_what_only_a_kubelet_can_ask_is_not_asked() -> None:
    assert build_healthcheck(container(probes=port_probes("mcp"))) is None
    assert build_healthcheck(container()) is None


def test_limits_are_in_dockers_units() -> None:
    assert cpus(container().resources) == "0.25"
    assert memory_mib(container().resources) == 64


def test_what_only_kubernetes_has_to_mount_is_left_out() -> None:
    mounts = [
        api_access(),
        scratch("scratch", "/scratch", "1Mi"),
        files("a", "/a", config=Files(name="a", paths={"k": "f"})),
    ]
    assert temporary(mounts) == {"/scratch": "mode=1777,noexec,nosuid,nodev,size=1048576"}
    assert config_files(mounts, {"a": {"k": "text"}}) == {"/a/f": "text"}


def test_only_what_is_let_out_has_its_address_translated() -> None:
    masquerade = "com.docker.network.bridge.enable_ip_masquerade"
    assert build_options(internal=False, out=False) == {masquerade: "false"}
    assert build_options(internal=False, out=True) == {masquerade: "true"}
    assert masquerade not in build_options(internal=True, out=False)
