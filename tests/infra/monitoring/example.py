"""A stack's rules and dashboards, as examples of everything that there is, and every query in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from infra.components.monitoring import MonitoringArgs, build_rules
from infra.custom_resources import to_data
from infra.monitoring.dashboards import build_dashboards
from infra.monitoring.panels import WINDOW
from infra.naming import Stack
from infra.settings.monitoring import Monitoring

RUNBOOKS = "https://docs.test/runbooks"
STACK = Stack("test", production=True)
ARGS = MonitoringArgs(
    stack=STACK,
    settings=Monitoring(runbooks=RUNBOOKS),
    services={
        "gateway": "gateway",
        "files": "server",
        "redis": "cache",
        "postgres": "database",
        "otel-collector": "telemetry",
    },
    logging=True,
    members={"redis": 3, "postgres": 3},
    backups={"backup-postgres": 104_400, "backup-redis": 93_600, "restore-drill": 622_800},
)


@dataclass(frozen=True)
class Query:
    """PromQL, and where it is from."""

    place: str
    expr: str


def objects() -> list[list[dict[str, Any]]]:
    """The groups of each PrometheusRule, as Prometheus reads them."""
    return [to_data(spec)["groups"] for spec in build_rules(ARGS).values()]


def groups() -> list[dict[str, Any]]:
    """All groups of rules."""
    return [group for of_object in objects() for group in of_object]


def rules() -> list[dict[str, Any]]:
    return [rule for group in groups() for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


def dashboards() -> dict[str, dict[str, Any]]:
    found = build_dashboards(ARGS.stack, ARGS.settings)
    return {name: json.loads(text) for name, text in found.items()}


def queries() -> Iterator[Query]:
    """Each query of rules and panels; Grafana's variable is what it would be."""
    for rule in rules():
        yield Query(rule.get("alert") or rule["record"], rule["expr"])
    for name, dashboard in dashboards().items():
        for panel in dashboard["panels"]:
            for target in panel.get("targets", ()):
                yield Query(f"{name}: {panel['title']}", target["expr"].replace(WINDOW, "1m"))
