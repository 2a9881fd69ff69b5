# ruff: noqa: D103 - a rule's title, beside its function, says what it checks
"""Metrics and alerts. Where nothing of Prometheus' operator is declared, nobody is asked for monitors."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from policies.family import Family
from policies.matching import every, matches_labels, matches_selector
from policies.node import UNKNOWN, Node
from policies.objects import BATCH_KINDS, KubernetesObject, Pod, Stack, same_name
from policies.operators import matches_managed
from policies.rule import Findings, Options, Severity, fail, forbid, require, require_any

FAMILY: Final = Family("observability", "Metrics and alerts", together="platform")

_SERVICE_MONITOR: Final = "ServiceMonitor.monitoring.coreos.com"
_POD_MONITOR: Final = "PodMonitor.monitoring.coreos.com"
_RULES: Final = "PrometheusRule.monitoring.coreos.com"
_SEVERITIES: Final = ("critical", "warning", "info")
_DASHBOARD_LABEL: Final = "grafana_dashboard"
_DURATION: Final = re.compile(r"(?:(\d+)m)?(?:(\d+)s)?\Z")
_SHORTEST, _LONGEST = 10, 60
"""Seconds between scrapes: below, Prometheus suffers; above, alerts on minutes have too few samples."""


def _monitored_namespace(monitor: KubernetesObject, namespace: str | object) -> bool | None:
    """Whether a monitor looks into a namespace: its own, those it lists, or any."""
    selector = monitor.node.at("spec.namespaceSelector")
    if selector.key("any").value is True:
        return True
    listed = selector.key("matchNames")
    if selector.unknown or any(item.unknown for item in listed.items()):
        return None
    if listed.items():
        return namespace in [item.value for item in listed.items()]
    return same_name(monitor.namespace, namespace if isinstance(namespace, str) else UNKNOWN)


def _monitors(stack: Stack, pod: Pod) -> Iterator[bool | None]:
    """Whether each monitor, by itself or by way of a Service, finds the pod."""
    labels, namespace = pod.metadata.at("labels"), pod.owner.namespace
    for monitor in stack.of_kind(_POD_MONITOR):
        yield every(
            [
                _monitored_namespace(monitor, namespace),
                matches_selector(monitor.node.at("spec.selector"), labels),
            ]
        )
    for monitor in stack.of_kind(_SERVICE_MONITOR):
        for service in stack.of_kind("Service"):
            yield every(
                [
                    _monitored_namespace(monitor, namespace),
                    same_name(service.namespace, namespace),
                    matches_selector(monitor.node.at("spec.selector"), service.labels),
                    matches_labels(service.node.at("spec.selector"), labels),
                ]
            )


@FAMILY.stack(
    "service-monitored",
    "Every service that has metrics is scraped",
    Severity.MEDIUM,
    _SERVICE_MONITOR,
    _POD_MONITOR,
    fix="Add a ServiceMonitor whose selector takes the Service, or a PodMonitor that takes the pods.",
    references=("kube-linter: dangling-servicemonitor",),
    settings=("metrics_ports",),
)
def service_monitored(stack: Stack, options: Options) -> Findings:
    if not stack.of_kind(_SERVICE_MONITOR, _POD_MONITOR):
        return
    for pod in stack.pods:
        ports = [port.key("name") for container in pod.containers() for port in container.at("ports").items()]
        offers = any(name.value in options.metrics_ports for name in ports)
        if offers and pod.owner.kind not in BATCH_KINDS:
            yield from require_any(
                _monitors(stack, pod),
                pod.metadata.at("labels"),
                "nothing scrapes the pod's metrics",
                pod.owner,
            )


@FAMILY.stack(
    "monitor-selects",
    "Every monitor finds something of the stack",
    Severity.MEDIUM,
    _SERVICE_MONITOR,
    _POD_MONITOR,
    fix="Make spec.selector match the Service's own labels (not its pods'), or the pods' for a PodMonitor.",
    references=("kube-linter: dangling-servicemonitor",),
)
def monitor_selects(stack: Stack, _options: Options) -> Findings:
    for monitor in stack.of_kind(_SERVICE_MONITOR, _POD_MONITOR):
        selector = monitor.node.at("spec.selector")
        if monitor.kind == _SERVICE_MONITOR:
            places = [(item.namespace, item.labels) for item in stack.of_kind("Service")]
        else:
            places = [(pod.owner.namespace, pod.metadata.at("labels")) for pod in stack.pods]
        answers = [
            every([_monitored_namespace(monitor, namespace), matches_selector(selector, labels)])
            for namespace, labels in places
        ]
        if monitor.kind == _POD_MONITOR:
            answers += matches_managed(selector, monitor.namespace, stack)
        yield from require_any(answers, selector, "selects nothing of the stack", monitor)


@FAMILY.stack(
    "monitor-port",
    "Every monitor names a port that is there",
    Severity.MEDIUM,
    _SERVICE_MONITOR,
    fix="Name a port of the Service in endpoints[].port, or a container's in endpoints[].targetPort.",
)
def monitor_port(stack: Stack, _options: Options) -> Findings:
    offered = [
        port.key(field)
        for pod in stack.pods
        for container in pod.containers()
        for port in container.at("ports").items()
        for field in ("name", "containerPort")
    ]
    for monitor in stack.of_kind(_SERVICE_MONITOR):
        selector = monitor.node.at("spec.selector")
        services = [
            service
            for service in stack.of_kind("Service")
            if matches_selector(selector, service.labels) is not False
        ]
        named = [port.key("name") for service in services for port in service.node.at("spec.ports").items()]
        for endpoint in monitor.node.at("spec.endpoints").items():
            port = endpoint.key("port")
            wanted, known = (endpoint.key("targetPort"), offered) if port.absent else (port, named)
            answers = [
                None if wanted.unknown or item.unknown else item.value == wanted.value for item in known
            ]
            yield from require_any(answers, wanted, "is no port of what it selects", monitor)


@FAMILY.object(
    "monitor-interval",
    "Metrics are scraped often enough for alerts, and not too often",
    Severity.LOW,
    _SERVICE_MONITOR,
    _POD_MONITOR,
    fix=f"Set interval to {_SHORTEST}s to {_LONGEST}s on every endpoint, and scrapeTimeout not above it.",
)
def monitor_interval(subject: KubernetesObject, _options: Options) -> Findings:
    field = "endpoints" if subject.kind == _SERVICE_MONITOR else "podMetricsEndpoints"
    for endpoint in subject.node.at("spec").key(field).items():
        interval, timeout = endpoint.key("interval"), endpoint.key("scrapeTimeout")
        yield from require(
            interval,
            lambda value: _SHORTEST <= _seconds(value) <= _LONGEST,
            f"must be {_SHORTEST}s to {_LONGEST}s",
        )
        if timeout.unknown or (not interval.unknown and _seconds(timeout.value) > _seconds(interval.value)):
            yield fail(timeout, "must not be above the interval")


def _seconds(value: Any) -> int:  # noqa: ANN401 - any JSON value
    """Prometheus' duration in seconds; 0 for what is none."""
    match = _DURATION.match(str(value)) if value is not None else None
    return (
        sum(int(part or 0) * unit for part, unit in zip(match.groups(), (60, 1), strict=True)) if match else 0
    )


def _alerts(subject: KubernetesObject) -> Iterator[Node]:
    for group in subject.node.at("spec.groups").items():
        for rule in group.key("rules").items():
            if rule.unknown or not rule.key("alert").absent:
                yield rule


@FAMILY.object(
    "alert-runbook",
    "Every alert says what to do",
    Severity.MEDIUM,
    _RULES,
    fix="Set annotations.runbook_url to a page's https address.",
)
def alert_runbook(subject: KubernetesObject, _options: Options) -> Findings:
    for alert in _alerts(subject):
        yield from require(
            alert.at("annotations.runbook_url"),
            lambda value: str(value).startswith("https://"),
            "must be a page",
        )


@FAMILY.object(
    "alert-described",
    "Every alert says what it means and how bad it is",
    Severity.LOW,
    _RULES,
    fix=f"Set annotations.summary, and labels.severity to one of {', '.join(_SEVERITIES)}.",
)
def alert_described(subject: KubernetesObject, _options: Options) -> Findings:
    for alert in _alerts(subject):
        yield from require(alert.at("annotations.summary"), bool, "must be set")
        yield from require(
            alert.at("labels.severity"),
            lambda value: value in _SEVERITIES,
            f"must be one of {', '.join(_SEVERITIES)}",
        )


@FAMILY.object(
    "alert-names-unique",
    "No two alerts of an object have one name",
    Severity.LOW,
    _RULES,
    fix="Give each alert a name of its own, or tell them apart by labels.",
)
def alert_names_unique(subject: KubernetesObject, _options: Options) -> Findings:
    seen: list[object] = []
    for alert in _alerts(subject):
        key = (alert.key("alert").value, alert.key("labels").value)
        if alert.unknown:
            yield fail(alert, "must have a name of its own")
        elif key in seen:
            yield fail(alert.key("alert"), "is there twice, with the same labels")
        seen.append(key)


@FAMILY.object(
    "dashboard-readable",
    "Dashboards are JSON, with an id and a title",
    Severity.LOW,
    "ConfigMap",
    fix="Build the dashboard anew: Grafana skips a broken one in silence.",
)
def dashboard_readable(subject: KubernetesObject, _options: Options) -> Findings:
    if subject.labels.key(_DASHBOARD_LABEL).absent:
        return
    for _, file in subject.node.key("data").entries():
        yield from forbid(file, lambda text: not _is_dashboard(text), "must be JSON with uid and title")


def _is_dashboard(text: object) -> bool:
    try:
        content: Any = json.loads(str(text))
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and bool(content.get("uid")) and bool(content.get("title"))
