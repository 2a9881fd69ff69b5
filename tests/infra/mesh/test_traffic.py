"""Routes, bounds and the waypoint, as the settings have them; in both modes the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml

from infra.assembly_mesh import longest_call
from infra.custom_resources import to_data
from infra.engine.graph import Graph
from infra.mesh.traffic import (
    UNSEEN,
    Server,
    build_destination_rule,
    build_http_route,
    build_virtual_service,
)
from infra.mesh.waypoint import build_overlays
from infra.naming import EDGE, Stack
from infra.settings import Settings
from infra.settings.mesh import Mesh
from tests.infra.gateway_settings import gateway_config
from tests.infra.mesh.stacks import bodies
from tests.infra.test_variants import SERVERS

LISTEN, CALL = "subscriptions/listen", "tools/call"


def seconds_of(mesh: Mesh, server: Server) -> dict[str, str]:
    """The timeout of each MCP method that has one of its own, and of the rest; in either mode."""
    route = to_data(build_http_route(mesh, server))
    ambient = {
        match["headers"][0]["value"] if match else "": rule["timeouts"]["request"]
        for rule in route["rules"]
        for match in rule.get("matches", [{}])
    }
    service = to_data(build_virtual_service(mesh, server))
    sidecar = {
        match["headers"]["mcp-method"]["exact"] if match else "": rule["timeout"]
        for rule in service["http"]
        for match in rule.get("match", [{}])
    }
    assert ambient == sidecar
    assert list(sidecar)[-1] == "", "the first route that matches is taken"
    return ambient


def test_requests_have_half_a_minute_and_streams_of_changes_an_hour() -> None:
    assert seconds_of(Mesh(), Server(name="files", call_seconds=30)) == {LISTEN: "3600s", "": "30s"}


def test_slow_tools_are_not_cut_off() -> None:
    found = seconds_of(Mesh(), Server(name="files", call_seconds=600))
    assert found == {LISTEN: "3600s", CALL: "600s", "": "30s"}


def test_requests_are_sent_again_three_times_where_no_server_saw_them() -> None:
    server = Server(name="files", call_seconds=30)
    route = to_data(build_http_route(Mesh(), server))
    service = to_data(build_virtual_service(Mesh(), server))
    # Which failures, Istio chooses: it has no other of HTTP than these two without `codes`.
    assert [rule["retry"] for rule in route["rules"]] == [{"attempts": 3}] * 2
    assert [it["retries"] for it in service["http"]] == [{"attempts": 3, "retryOn": UNSEEN}] * 2
    assert set(UNSEEN.split(",")) == {"connect-failure", "refused-stream", "reset-before-request"}


@pytest.mark.parametrize(
    ("attempts", "ambient", "sidecar"), [(0, {"attempts": 0}, {"attempts": 0}), (None, None, None)]
)
def test_retries_can_be_off_or_be_left_to_istio(
    attempts: int | None, ambient: dict[str, int] | None, sidecar: dict[str, int] | None
) -> None:
    mesh, server = Mesh(attempts=attempts), Server(name="files", call_seconds=30)
    assert {str(rule.get("retry")) for rule in to_data(build_http_route(mesh, server))["rules"]} == {
        str(ambient)
    }
    assert {str(it.get("retries")) for it in to_data(build_virtual_service(mesh, server))["http"]} == {
        str(sidecar)
    }


def test_connections_are_bounded_and_failing_pods_rest() -> None:
    policy = to_data(build_destination_rule(Mesh(), Server(name="files", call_seconds=30)))["trafficPolicy"]
    assert policy["connectionPool"]["tcp"]["maxConnections"] == 50
    assert policy["outlierDetection"] == {
        "consecutive5xxErrors": 3,
        "interval": "15s",
        "baseEjectionTime": "30s",
        "maxEjectionPercent": 50,
    }


def test_a_tool_may_take_as_long_as_its_server_and_the_gateway_wait(
    configure: Callable[..., Settings],
) -> None:
    servers: dict[str, Any] = {
        **SERVERS["servers"],
        "slow": {"kind": "filesystem", "timeout_seconds": 120},
    }

    def found(**gateway: Any) -> Mapping[str, int]:
        settings = configure(servers=servers, gateway={"timeout_seconds": 120, **gateway})
        return {name: longest_call(server, settings) for name, server in settings.servers.items()}

    # The kit ends tools in time; of a custom server, only the gateway's patience is known.
    assert found() == {"echo": 30, "weather": 300, "slow": 120}
    assert found(tasks={}) == {"echo": 30, "weather": 3600, "slow": 120}


def test_istio_makes_the_waypoint_as_pods_here_must_be(stack: Stack) -> None:
    mesh = Mesh.model_validate({"waypoint": {"autoscaling": {"min": 3, "max": 10}}})
    overlays = {name: yaml.safe_load(text) for name, text in build_overlays(stack, mesh.waypoint).items()}
    assert overlays.keys() == {"deployment", "horizontalPodAutoscaler", "podDisruptionBudget"}
    assert "replicas" not in overlays["deployment"]["spec"]
    pod = overlays["deployment"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert overlays["horizontalPodAutoscaler"]["spec"]["minReplicas"] == 3
    assert overlays["podDisruptionBudget"]["spec"]["maxUnavailable"] == 1


def test_a_single_waypoint_may_be_drained(stack: Stack) -> None:
    overlays = {name: yaml.safe_load(text) for name, text in build_overlays(stack, Mesh().waypoint).items()}
    assert overlays.keys() == {"deployment"}
    assert overlays["deployment"]["spec"]["replicas"] == 1


def has_waypoint(graph: Graph) -> bool:
    return any((it["kind"], it["metadata"]["name"]) == ("Gateway", "waypoint") for it in bodies(graph))


def test_a_namespace_joins_the_mesh_in_one_way(meshed: Graph) -> None:
    objects = bodies(meshed)
    (labels,) = (item["metadata"]["labels"] for item in objects if item["kind"] == "Namespace")
    kinds = {item["kind"] for item in objects if item["metadata"]["labels"]["app.kubernetes.io/name"] != EDGE}
    joined = {key for key in labels if key in {"istio.io/dataplane-mode", "istio-injection", "istio.io/rev"}}
    assert len(joined) == 1
    assert ("istio.io/dataplane-mode" in joined) == has_waypoint(meshed) == ("VirtualService" not in kinds)


def test_the_gateway_asks_servers_where_the_mesh_routes(meshed: Graph, graph: Graph) -> None:
    def address(stack: Graph) -> str:
        (config,) = (
            yaml.safe_load(item["data"]["config.yaml"])
            for item in bodies(stack)
            if item["kind"] == "ConfigMap" and item["metadata"]["name"] == "gateway"
        )
        return config["discovery"]["kubernetes"].get("address", "pods")

    assert address(meshed) == "services"
    assert address(graph) == ("services" if graph.stack == "prod" else "pods")


def test_the_gateway_knows_the_address_that_it_is_given(
    stack: Stack, configure: Callable[..., Settings]
) -> None:
    def address(*, in_mesh: bool) -> str:
        discovery = gateway_config(stack, configure(), in_mesh=in_mesh).discovery
        assert discovery
        return discovery.kubernetes.address

    assert (address(in_mesh=True), address(in_mesh=False)) == ("services", "pods")


def test_only_requests_to_servers_go_by_the_waypoint(meshed: Graph) -> None:
    objects = bodies(meshed)
    routed = {
        item["metadata"]["name"]
        for item in objects
        if item["kind"] == "Service" and "istio.io/use-waypoint" in item["metadata"]["labels"]
    }
    servers = {"filesystem"} if meshed.stack == "prod" else {"echo", "weather"}
    assert routed == (servers if has_waypoint(meshed) else set())


def test_development_is_not_in_a_mesh_unless_it_is_chosen(graph: Graph) -> None:
    found = [item for item in bodies(graph) if "istio.io" in item["apiVersion"]]
    assert bool(found) == (graph.stack == "prod")
