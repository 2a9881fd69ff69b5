"""When somebody is called because traces or logs get lost on their way. Pure. Runbooks in docs/runbooks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from infra.monitoring.alerts import alert
from infra.monitoring.resources import Rule, RuleGroup
from infra.monitoring.series import Series, rose
from infra.naming import COLLECTOR, LOG_COLLECTOR, Stack
from infra.settings.monitoring import Monitoring

_MOST_WAITING: Final = 0.8


@dataclass(frozen=True, slots=True)
class _Kind:
    """What one kind of collector carries, and where it runs."""

    name: str
    items: str
    job: str
    namespace: str


def build_groups(stack: Stack, monitoring: Monitoring, *, traces: bool, logs: bool) -> tuple[RuleGroup, ...]:
    """The alerts of the collectors that there are.

    Args:
        stack: The stack.
        monitoring: Where the runbooks are.
        traces: Whether it has a collector of traces.
        logs: Whether it has collectors of logs.
    """
    found: list[RuleGroup] = []
    if traces:
        kind = _Kind("traces", "spans", COLLECTOR, stack.namespace)
        found.append(RuleGroup(name="traces", rules=_collector(stack, monitoring, kind)))
    if logs:
        kind = _Kind("logs", "log_records", LOG_COLLECTOR, stack.logging_namespace)
        rules = (_down(stack, monitoring, kind), *_collector(stack, monitoring, kind))
        found.append(RuleGroup(name="logs", rules=rules))
    return tuple(found)


def _down(stack: Stack, monitoring: Monitoring, kind: _Kind) -> Rule:
    own, there = Series(stack), {"namespace": kind.namespace}
    up = own.of("up", **there, job=kind.job)
    missing = own.of("kube_daemonset_status_number_unavailable", **there, daemonset=kind.job)
    return alert(
        stack,
        monitoring,
        "McpLogCollectorDown",
        expr=f"({up} == 0) or absent({up}) or (max by (daemonset) ({missing}) > 0)",
        lasting="5m",
        severity="warning",
        summary="A node's log collector is down: its logs wait until they are rotated away.",
    )


def _collector(stack: Stack, monitoring: Monitoring, kind: _Kind) -> tuple[Rule, ...]:
    own, there = Series(stack), {"namespace": kind.namespace, "job": kind.job}
    refused, dropped = (
        own.of(f"otelcol_{name}_{kind.items}_total", **there)
        for name in ("receiver_refused", "exporter_send_failed")
    )
    waiting, capacity = (own.of(f"otelcol_exporter_queue_{name}", **there) for name in ("size", "capacity"))
    of_pod = "by (pod)"
    said = (
        (
            "McpTelemetryRefused",
            f"sum {of_pod} ({rose(refused, '5m')}) > 0",
            "5m",
            f"{{{{ $labels.pod }}}} refuses {kind.name}: its memory or its queue is full.",
        ),
        (
            "McpTelemetryDropped",
            f"sum {of_pod} ({rose(dropped, '15m')}) > 0",
            "0m",
            f"{{{{ $labels.pod }}}} dropped {kind.name}: the backend refuses them, or was away for too long.",
        ),
        (
            "McpTelemetryQueueFilling",
            f"max {of_pod} ({waiting}) / max {of_pod} ({capacity}) > {_MOST_WAITING}",
            "5m",
            "The queue of {{ $labels.pod }} is full to {{ $value | humanizePercentage }}.",
        ),
    )
    return tuple(
        alert(
            stack,
            monitoring,
            name,
            expr=expr,
            lasting=lasting,
            severity="warning",
            summary=summary,
            labels={"signal": kind.name},
        )
        for name, expr, lasting, summary in said
    )
