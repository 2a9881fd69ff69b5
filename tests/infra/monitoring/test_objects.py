"""What a stack declares for the Prometheus operator and Grafana, and when."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from infra.custom_resources import to_data
from infra.engine.check import check
from infra.engine.graph import Graph
from infra.engine.manifest import manifests
from infra.monitoring.resources import Rule, RuleGroup
from services.kit.conventions import METRICS_PATH, OPS_PORT, OPS_PORT_NAME
from tests.evaluated import evaluated
from tests.infra.monitoring.example import RUNBOOKS
from tests.infra.test_variants import EXTERNAL, REPOSITORY, SERVERS, evaluate

ON = {"monitoring": {"runbooks": RUNBOOKS}}
KINDS = {"ServiceMonitor", "PodMonitor", "PrometheusRule"}

Object = dict[str, Any]


def bodies(graph: Graph, *kinds: str) -> dict[str, Object]:
    """Objects of some kinds as the API server gets them, by name."""
    return {item.name: dict(item.body) for item in manifests(graph) if item.kind in kinds}


def has(labels: Object, wanted: Object) -> bool:
    return wanted.items() <= labels.items()


def test_every_service_is_scraped_once_at_the_port_that_its_pods_have() -> None:
    graph = evaluated("prod")
    monitors, services = bodies(graph, "ServiceMonitor"), bodies(graph, "Service")
    workloads = bodies(graph, "Deployment", "StatefulSet", "DaemonSet")
    assert monitors.keys() == workloads.keys()
    assert len(services) == len(monitors)
    for name, monitor in monitors.items():
        (endpoint,) = monitor["spec"]["endpoints"]
        picked = [
            it
            for it, service in services.items()
            if has(service["metadata"]["labels"], monitor["spec"]["selector"]["matchLabels"])
        ]
        (service,) = picked
        assert (
            len({item["metadata"]["namespace"] for item in (monitor, services[service], workloads[name])})
            == 1
        )
        assert services[service]["metadata"]["labels"][monitor["spec"]["jobLabel"]] == name
        containers = workloads[name]["spec"]["template"]["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for it in containers for port in it.get("ports", ())}
        assert ports[endpoint["targetPort"]] == OPS_PORT
        assert (endpoint["targetPort"], endpoint["path"]) == (OPS_PORT_NAME, METRICS_PATH)
        assert (endpoint["interval"], endpoint["scrapeTimeout"]) == ("15s", "10s")


def test_the_instances_of_postgres_are_scraped_where_their_operator_has_their_metrics() -> None:
    graph = evaluated("prod")
    (monitor,) = bodies(graph, "PodMonitor").values()
    (cluster,) = bodies(graph, "Cluster")
    assert monitor["spec"]["selector"]["matchLabels"] == {"cnpg.io/cluster": cluster}
    assert monitor["spec"]["jobLabel"] == "cnpg.io/cluster"
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["path"], endpoint["interval"]) == ("metrics", METRICS_PATH, "15s")
    rules = str(bodies(graph, "PrometheusRule")["alerts"])
    assert 'job=\\"postgres\\"' in rules or 'job="postgres"' in rules


def test_the_operator_finds_monitors_and_rules_by_the_labels_of_the_settings() -> None:
    for item in bodies(evaluated("prod"), *KINDS).values():
        assert item["apiVersion"] == "monitoring.coreos.com/v1"
        assert item["metadata"]["labels"]["release"] == "kube-prometheus-stack"


def test_the_labels_of_the_settings_do_not_replace_the_platforms_own(tmp_path: Path) -> None:
    labels = {"app.kubernetes.io/name": "mine", "release": "other"}
    graph = evaluate(tmp_path, monitoring={"runbooks": RUNBOOKS, "labels": labels})
    found = bodies(graph, "ServiceMonitor")["gateway"]["metadata"]["labels"]
    assert (found["app.kubernetes.io/name"], found["release"]) == ("gateway", "other")


def test_stores_that_somebody_else_runs_are_not_scraped_and_not_missed(tmp_path: Path) -> None:
    graph = evaluate(tmp_path, **EXTERNAL, **SERVERS, **ON)
    assert bodies(graph, "ServiceMonitor").keys() == {"gateway", "echo", "weather"}
    (down,) = (
        rule
        for group in bodies(graph, "PrometheusRule")["alerts"]["spec"]["groups"]
        for rule in group["rules"]
        if rule["alert"] == "McpServiceDown"
    )
    assert 'job="weather"' in down["expr"]
    assert 'job="redis"' not in down["expr"]


def test_without_the_setting_nothing_needs_the_operator(tmp_path: Path) -> None:
    graph = evaluate(tmp_path)
    assert not bodies(graph, *KINDS)
    assert not [name for name in bodies(graph, "ConfigMap") if name.startswith("dashboard-")]


def test_a_development_stack_with_it_satisfies_the_policies(tmp_path: Path) -> None:
    graph = evaluate(tmp_path, **ON)
    assert bodies(graph, *KINDS)
    assert [item.message for item in check(graph, REPOSITORY / "policies") if item.mandatory] == []


def test_dashboards_are_files_that_grafanas_sidecar_finds(tmp_path: Path) -> None:
    found = bodies(evaluate(tmp_path, **ON), "ConfigMap")
    shown = {name: item for name, item in found.items() if "grafana_dashboard" in item["metadata"]["labels"]}
    assert shown.keys() == {"dashboard-tools", "dashboard-work", "dashboard-infrastructure"}
    files = [name for item in shown.values() for name in item["data"]]
    # The sidecar puts files of all namespaces into one folder.
    assert sorted(files) == ["mcp-dev-infrastructure.json", "mcp-dev-tools.json", "mcp-dev-work.json"]
    for item in shown.values():
        (text,) = item["data"].values()
        assert json.loads(text)["title"].endswith("(dev)")
        assert len(text) < 1_000_000
    quiet = evaluate(tmp_path, monitoring={"runbooks": RUNBOOKS, "dashboards": False})
    assert not shown.keys() & bodies(quiet, "ConfigMap").keys()
    assert bodies(quiet, *KINDS)


def test_objectives_are_the_settings() -> None:
    graph = evaluated("prod")
    exprs = [
        rule["expr"]
        for group in bodies(graph, "PrometheusRule")["objectives"]["spec"]["groups"]
        for rule in group["rules"]
        if rule.get("alert") == "McpAvailabilityBudgetBurn"
    ]
    assert [expr.rsplit(" ", 1)[1] for expr in exprs] == ["0.0144", "0.006", "0.003", "0.001"]


def test_dataclasses_become_the_data_of_a_custom_resource() -> None:
    rule = Rule(alert="A", expr="up == 0", for_="1m", labels={"some_label": "kept"})
    assert to_data(RuleGroup(name="g", rules=(rule,))) == {
        "name": "g",
        "rules": [{"alert": "A", "expr": "up == 0", "for": "1m", "labels": {"some_label": "kept"}}],
    }
