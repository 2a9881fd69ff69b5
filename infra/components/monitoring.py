"""What is scraped, when somebody is called, and what is shown: for the Prometheus operator and Grafana."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import pulumi
from pulumi_kubernetes.core import v1
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.custom_resources import LabelSelector
from infra.labels import NAME, Component, labels, selector
from infra.monitoring import telemetry_alerts
from infra.monitoring.alerts import Alerts
from infra.monitoring.backup_alerts import build_group
from infra.monitoring.dashboards import build_dashboards
from infra.monitoring.objectives import build_groups
from infra.monitoring.resources import (
    Endpoint,
    PodEndpoint,
    PodMonitor,
    PodMonitorSpec,
    PrometheusRule,
    PrometheusRuleSpec,
    ServiceMonitor,
    ServiceMonitorSpec,
)
from infra.naming import (
    ALERTS,
    BACKUPS,
    COLLECTOR,
    LOG_COLLECTOR,
    OBJECTIVES,
    PROJECT,
    TELEMETRY,
    Stack,
    dashboard,
)
from infra.settings.monitoring import Monitoring as MonitoringSettings
from services.kit.conventions import METRICS_PATH, OPS_PORT_NAME

DASHBOARD_LABEL: Final = {"grafana_dashboard": "1"}
"""What the sidecar of Grafana's chart looks for, as it comes."""

_TIMEOUT_SECONDS: Final = 10
_MOST_SAMPLES: Final = 100_000
"""Two thousand tools, the most that there can be in the labels, are 50,000."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MonitoringArgs:
    """What is watched.

    Attributes:
        stack: The stack.
        settings: How.
        services: Every service that reports metrics, and what part it plays.
        members: How many members a replicated store should have, by its name.
        operated: Pods that an operator makes, by the service's name: labels, and the port of their metrics.
        logging: Whether there are collectors of logs, which are scraped in a namespace of their own.
        backups: The most seconds between two successes of each of its CronJobs.
    """

    stack: Stack
    settings: MonitoringSettings
    services: Mapping[str, Component]
    members: Mapping[str, int] = field(default_factory=dict[str, int])
    operated: Mapping[str, Operated] = field(default_factory=dict[str, "Operated"])
    logging: bool = False
    backups: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, kw_only=True, slots=True)
class Operated:
    """Pods without our labels.

    Attributes:
        pods: Their labels.
        job_label: The one whose value is the service's name.
        port_name: Of their metrics.
    """

    pods: Mapping[str, str]
    job_label: str
    port_name: str


def build_monitor(stack: Stack, name: str, interval_seconds: int) -> ServiceMonitorSpec:
    """All pods of one service, at the kit's port and path. The Service itself need not have the port."""
    return ServiceMonitorSpec(
        job_label=NAME,
        selector=LabelSelector(match_labels=selector(stack, name)),
        endpoints=(
            Endpoint(
                target_port=OPS_PORT_NAME,
                path=METRICS_PATH,
                interval=f"{interval_seconds}s",
                scrape_timeout=f"{_TIMEOUT_SECONDS}s",
            ),
        ),
        sample_limit=_MOST_SAMPLES,
    )


def build_pod_monitor(operated: Operated, interval_seconds: int) -> PodMonitorSpec:
    """All pods of one service that has no Service of ours."""
    return PodMonitorSpec(
        job_label=operated.job_label,
        selector=LabelSelector(match_labels=operated.pods),
        pod_metrics_endpoints=(
            PodEndpoint(
                port=operated.port_name,
                path=METRICS_PATH,
                interval=f"{interval_seconds}s",
                scrape_timeout=f"{_TIMEOUT_SECONDS}s",
            ),
        ),
        sample_limit=_MOST_SAMPLES,
    )


def build_rules(args: MonitoringArgs) -> dict[str, PrometheusRuleSpec]:
    """All rules, by the name of their object."""
    alerts = Alerts(args.stack, args.settings, [*args.services, *args.operated], args.members)
    telemetry = telemetry_alerts.build_groups(
        args.stack, args.settings, traces=COLLECTOR in args.services, logs=args.logging
    )
    found = {
        ALERTS: PrometheusRuleSpec(groups=alerts.groups()),
        OBJECTIVES: PrometheusRuleSpec(groups=build_groups(args.stack, args.settings)),
        **({TELEMETRY: PrometheusRuleSpec(groups=telemetry)} if telemetry else {}),
    }
    if args.backups:
        group = build_group(args.stack, args.settings, args.backups)
        found[BACKUPS] = PrometheusRuleSpec(groups=(group,))
    return found


class Monitoring(pulumi.ComponentResource):
    """ServiceMonitors, PrometheusRules, and dashboards in ConfigMaps."""

    def __init__(self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mcp:observability:Monitoring", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        def metadata(
            object_name: str, own: Mapping[str, str], annotations: Mapping[str, str] | None = None
        ) -> ObjectMetaArgs:
            return ObjectMetaArgs(
                name=object_name, namespace=args.stack.namespace, labels=own, annotations=annotations
            )

        for service, component in sorted(args.services.items()):
            self._monitor(service, args, component, args.stack.namespace)
        if args.logging:
            self._monitor(LOG_COLLECTOR, args, "telemetry", args.stack.logging_namespace)
        for service, operated in sorted(args.operated.items()):
            own = {**args.settings.labels, **labels(args.stack, service, "database")}
            spec = build_pod_monitor(operated, args.settings.interval_seconds)
            PodMonitor(service, metadata(service, own), spec, child)
        of_all = labels(args.stack, PROJECT, "platform")
        for rules, groups in build_rules(args).items():
            PrometheusRule(rules, metadata(rules, {**args.settings.labels, **of_all}), groups, child)
        if args.settings.dashboards:
            folder = {"grafana_folder": PROJECT}
            for key, text in build_dashboards(args.stack, args.settings).items():
                shown = metadata(dashboard(key), {**of_all, **DASHBOARD_LABEL}, folder)
                file = {f"{args.stack.namespace}-{key}.json": text}
                v1.ConfigMap(dashboard(key), metadata=shown, data=file, opts=child)
        self.register_outputs({})

    def _monitor(self, service: str, args: MonitoringArgs, component: Component, namespace: str) -> None:
        own = {**args.settings.labels, **labels(args.stack, service, component)}
        ServiceMonitor(
            service,
            ObjectMetaArgs(name=service, namespace=namespace, labels=own),
            build_monitor(args.stack, service, args.settings.interval_seconds),
            pulumi.ResourceOptions(parent=self),
        )
