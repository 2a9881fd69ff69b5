"""What a stack declares to collect its traces and logs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from infra.engine.check import check
from infra.engine.graph import Graph
from infra.engine.manifest import manifests
from infra.engine.record import record
from infra.settings.telemetry import Collector
from infra.telemetry import traces
from tests.evaluated import evaluated
from tests.infra.telemetry import certificates
from tests.infra.telemetry.example import STACK, backend
from tests.infra.test_variants import DIGEST, REPOSITORY, SERVERS, evaluate

EXPORT = {"endpoint": "http://tempo:4318"}
LOGS = "logs-mcp-dev"

Object = dict[str, Any]


def bodies(graph: Graph, kind: str) -> dict[str, Object]:
    """Objects of a kind as the API server gets them, by `namespace/name`."""
    return {f"{it.namespace}/{it.name}": dict(it.body) for it in manifests(graph) if it.kind == kind}


def days(count: int) -> str:
    return (datetime.now(UTC).date() + timedelta(days=count)).isoformat()


def logging(**settings: Any) -> Object:
    return {"logging": {"export": EXPORT, "exempt_until": days(30), **settings}}


def pod(body: Object) -> Object:
    return body["spec"]["template"]["spec"]


def findings(graph: Graph) -> set[str]:
    """Rules that a stack breaks."""
    found = [it for it in check(graph, REPOSITORY / "policies") if it.mandatory]
    return {it.policy for it in found}


def endpoints(graph: Graph) -> set[str]:
    """Where the services of a stack send their traces."""
    (file,) = bodies(graph, "ConfigMap")["mcp-dev/gateway"]["data"].values()
    gateway = yaml.safe_load(file)
    (server,) = pod(bodies(graph, "Deployment")["mcp-dev/echo"])["containers"]
    own = {it["value"] for it in server["env"] if it["name"] == "TRACING_ENDPOINT"}
    return {gateway["tracing"]["endpoint"], *own}


def test_services_send_to_the_stacks_own_collector_and_only_that_to_the_backend(tmp_path: Path) -> None:
    servers = {"servers": {"echo": SERVERS["servers"]["echo"]}}
    graph = evaluate(tmp_path, **servers, tracing={"collector": {"export": EXPORT, "replicas": 2}})
    assert endpoints(graph) == {"http://otel-collector:4318"}
    assert bodies(graph, "Service")["mcp-dev/otel-collector"]["spec"]["ports"][0]["port"] == 4318
    assert "mcp-dev/otel-collector" in bodies(graph, "PodDisruptionBudget")
    assert findings(graph) == set()


def test_a_collector_that_is_there_needs_nothing_of_the_stack(tmp_path: Path) -> None:
    servers = {"servers": {"echo": SERVERS["servers"]["echo"]}}
    graph = evaluate(tmp_path, **servers, tracing={"endpoint": "http://collector.observability:4318"})
    assert endpoints(graph) == {"http://collector.observability:4318"}
    assert "mcp-dev/otel-collector" not in bodies(graph, "Deployment")
    assert "otelcol" not in graph.by_type("docker-build:index:Image")


def test_without_the_settings_there_is_neither(tmp_path: Path) -> None:
    graph = evaluate(tmp_path)
    assert not bodies(graph, "DaemonSet")
    assert set(bodies(graph, "Namespace")) == {"/mcp-dev"}
    assert "otelcol" not in graph.by_type("docker-build:index:Image")


def test_an_image_of_somebody_elses_is_not_built(tmp_path: Path) -> None:
    image = f"docker.io/otel/opentelemetry-collector-contrib{DIGEST}"
    graph = evaluate(
        tmp_path, tracing={"collector": {"export": EXPORT, "image": image}}, **logging(image=image)
    )
    assert "otelcol" not in graph.by_type("docker-build:index:Image")
    used = (
        bodies(graph, "DaemonSet")[f"{LOGS}/log-collector"],
        bodies(graph, "Deployment")["mcp-dev/otel-collector"],
    )
    assert {pod(it)["containers"][0]["image"] for it in used} == {image}


def test_the_nodes_folder_is_read_only_and_all_else_as_strict_as_ever(tmp_path: Path) -> None:
    graph = evaluate(tmp_path, **logging(priority_class="important"))
    spec = pod(bodies(graph, "DaemonSet")[f"{LOGS}/log-collector"])
    (container,) = spec["containers"]
    volumes = {it["name"]: it for it in spec["volumes"]}
    of_node = {name for name, it in volumes.items() if "hostPath" in it}
    assert [volumes[name]["hostPath"] for name in of_node] == [{"path": "/var/log/pods", "type": "Directory"}]
    assert all(it["readOnly"] for it in container["volumeMounts"] if it["name"] in of_node)
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    # Neither root nor its own group: only a member of the group that log files are of.
    own = spec["securityContext"]
    assert (own["runAsUser"], own["runAsGroup"], own["supplementalGroups"]) == (10001, 10001, [0])
    assert spec["automountServiceAccountToken"] is False
    assert spec["priorityClassName"] == "important"
    assert "tolerations" not in spec


def test_the_quota_allows_one_collector_for_each_node(tmp_path: Path) -> None:
    graph = evaluate(tmp_path, **logging(nodes=7))
    hard = bodies(graph, "ResourceQuota")[f"{LOGS}/mcp-platform"]["spec"]["hard"]
    assert hard == {"pods": "7", "requests.cpu": "350m", "requests.memory": "896Mi"}


def test_exemptions_are_of_just_the_rules_that_the_folder_breaks(tmp_path: Path) -> None:
    assert findings(evaluate(tmp_path, **logging())) == set()
    (collectors,) = bodies(evaluate(tmp_path, **logging()), "DaemonSet").values()
    text = collectors["metadata"]["annotations"]["mcp-platform.dev/policy-exempt"]
    assert [line.partition(":")[0] for line in text.splitlines()] == ["pss-host-path", "pss-volume-types"]


def test_an_exemption_ends_and_then_previews_fail(tmp_path: Path) -> None:
    for end in (-1, 400):  # over, and longer than a year, which excuses nothing either
        found = findings(evaluate(tmp_path, **logging(exempt_until=days(end))))
        assert {"exemption-valid", "pss-host-path", "namespace-pod-security"} <= found


def test_a_token_is_mounted_and_nowhere_else(tmp_path: Path) -> None:
    token = {"name": "backend", "key": "api"}
    ca = certificates.make(tmp_path).authority
    export = {"endpoint": "https://tempo", "token": token, "ca": ca, "headers": {"X-Scope-OrgID": "a"}}
    graph = evaluate(tmp_path, tracing={"collector": {"export": export}}, **logging(export=export))
    for body in (*bodies(graph, "Deployment").values(), *bodies(graph, "DaemonSet").values()):
        if body["metadata"]["name"] in {"otel-collector", "log-collector"}:
            (container,) = pod(body)["containers"]
            assert not any("valueFrom" in it and "secretKeyRef" in it["valueFrom"] for it in container["env"])
            projected = json.dumps(pod(body)["volumes"])
            assert '"secret": {"items": [{"key": "api", "path": "token"}], "name": "backend"}' in projected
    files = bodies(graph, "ConfigMap")[f"{LOGS}/log-collector"]["data"]
    assert files["ca.pem"] == ca
    assert yaml.safe_load(files["collector.yaml"])["extensions"]["bearertokenauth"] == {
        "filename": "/run/secrets/backend/token",
        "header": "Authorization",
        "scheme": "Bearer",
    }


def test_memory_is_looked_after_before_anything_else() -> None:
    for keep, expected in ((1, []), (0.25, ["probabilistic_sampler"])):
        collector = Collector.model_validate({"export": backend("http://tempo:4318"), "keep": keep})
        found = yaml.safe_load(traces.build_config(STACK, collector))
        order = ["memory_limiter", "resource", *expected]
        assert found["service"]["pipelines"]["traces"]["processors"] == order
        # The container's limit is 512 MiB.
        assert found["processors"]["memory_limiter"]["limit_mib"] == 409


def test_a_configuration_is_the_same_every_time_and_changes_roll_the_pods(tmp_path: Path) -> None:
    def daemon_set(**settings: Any) -> Object:
        return bodies(evaluate(tmp_path, **logging(**settings)), "DaemonSet")[f"{LOGS}/log-collector"]

    first = daemon_set()
    assert bodies(record("dev", project=tmp_path), "DaemonSet")[f"{LOGS}/log-collector"] == first
    hashes = {
        json.dumps(it["spec"]["template"]["metadata"]["annotations"])
        for it in (daemon_set(), daemon_set(export={"endpoint": "http://other:4318"}))
    }
    assert len(hashes) == 2


def test_the_collectors_go_is_the_clusters() -> None:
    locks = (
        REPOSITORY / "infra/cluster/tools/requirements.txt",
        REPOSITORY / "infra/images/otelcol/requirements.txt",
    )
    assert len({it.read_text() for it in locks}) == 1


def test_prod_has_both() -> None:
    graph = evaluated("prod")
    assert "mcp-prod/otel-collector" in bodies(graph, "Deployment")
    assert "logs-mcp-prod/log-collector" in bodies(graph, "DaemonSet")
    assert "otelcol" in graph.by_type("aws:ecr/repository:Repository")
