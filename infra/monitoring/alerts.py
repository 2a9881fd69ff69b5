"""When somebody is called. Pure. Each alert has a page in docs/runbooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from infra.monitoring.replication import conditions
from infra.monitoring.resources import Rule, RuleGroup
from infra.monitoring.series import Series, rose, share
from infra.naming import Stack
from infra.settings.monitoring import Monitoring

Severity = Literal["warning", "critical"]

_MOST_ERRORS: Final = 0.05
_ENOUGH_CALLS: Final = 20
"""In five minutes: of fewer, a share says nothing."""
_MOST_MEMORY: Final = 0.85
_MOST_CPU: Final = 0.8
_LEAST_SPACE: Final = 0.1


def alert(
    stack: Stack,
    monitoring: Monitoring,
    name: str,
    *,
    expr: str,
    lasting: str,
    severity: str,
    summary: str,
    labels: Mapping[str, str] | None = None,
) -> Rule:
    """An alert with what every alert has: its namespace, its severity and its runbook."""
    return Rule(
        alert=name,
        expr=expr,
        for_=lasting,
        labels={"namespace": stack.namespace, "severity": severity, **(labels or {})},
        annotations={
            "summary": summary,
            "runbook_url": f"{monitoring.runbooks.rstrip('/')}/{name}.md",
        },
    )


class Alerts:
    """The alerts of one stack, besides those of its objectives."""

    def __init__(
        self, stack: Stack, monitoring: Monitoring, services: Sequence[str], members: Mapping[str, int]
    ) -> None:
        self._stack = stack
        self._monitoring = monitoring
        self._services = services
        self._members = members
        self._series = Series(stack)

    def groups(self) -> tuple[RuleGroup, ...]:
        """By what they are about."""
        return (
            RuleGroup(name="services", rules=(*self._reachable(), *self._calls())),
            RuleGroup(name="resources", rules=self._resources()),
            RuleGroup(name="state", rules=(*self._stores(), *self._replication(), *self._trust())),
        )

    def _reachable(self) -> tuple[Rule, ...]:
        own = self._series
        missing = " or ".join(f"absent({own.of('up', job=name)})" for name in sorted(self._services))
        endpoints = f"max by (server) ({own.gateway('mcp_gateway_endpoints')}) == 0"
        return (
            self._alert(
                "McpServiceDown",
                f"({own.of('up')} == 0) or {missing}",
                "1m",
                "critical",
                "{{ $labels.job }} {{ $labels.pod }} can't be scraped: it is down, or there is no pod of it.",
            ),
            self._alert(
                "McpServerWithoutEndpoints",
                endpoints,
                "1m",
                "critical",
                "No pod of server {{ $labels.server }} is ready: its tools can't be called.",
            ),
            self._alert(
                "McpDiscoveryFailing",
                f"sum(increase({own.gateway('mcp_gateway_discovery_errors_total')}[10m])) > 5",
                "5m",
                "warning",
                "The gateway can't learn which servers there are; it goes on with those that it knows.",
            ),
        )

    def _calls(self) -> tuple[Rule, ...]:
        own = self._series
        calls = own.gateway("mcp_tool_calls_total")
        failed = own.gateway("mcp_tool_calls_total", status="error")
        requests = own.gateway("mcp_gateway_requests_total")
        broken = own.gateway("mcp_gateway_requests_total", 'status=~"5.."')
        waiting, slots = (own.gateway(f"mcp_gateway_pool_{name}") for name in ("waiting", "slots"))
        return (
            self._alert(
                "McpHighErrorRate",
                f"{share(f'rate({failed}[5m])', f'rate({calls}[5m])', 'server')} > {_MOST_ERRORS} and "
                f"sum by (server) (increase({calls}[5m])) >= {_ENOUGH_CALLS}",
                "2m",
                "critical",
                "{{ $value | humanizePercentage }} of the calls of server {{ $labels.server }} fail.",
            ),
            self._alert(
                "McpGatewayErrors",
                f"{share(f'rate({broken}[5m])', f'rate({requests}[5m])')} > {_MOST_ERRORS} and "
                f"sum(increase({requests}[5m])) >= {_ENOUGH_CALLS}",
                "2m",
                "critical",
                "The gateway answers {{ $value | humanizePercentage }} of the requests with 5xx.",
            ),
            self._alert(
                "McpServerQueue",
                f"sum by (server) ({waiting}) > sum by (server) ({slots})",
                "2m",
                "warning",
                "{{ $value }} requests wait for server {{ $labels.server }}: more than are with it.",
            ),
            self._alert(
                "McpBreakerOpen",
                f"max by (server) ({own.gateway('mcp_gateway_breaker_state')}) == 2",
                "2m",
                "warning",
                "A gateway sends server {{ $labels.server }} nothing, since too many calls failed.",
            ),
            self._alert(
                "McpOverload",
                f"sum(rate({own.gateway('mcp_gateway_shed_total')}[5m])) > 0",
                "2m",
                "warning",
                "The gateway refuses {{ $value | humanize }} requests a second: it can't keep up.",
            ),
        )

    def _resources(self) -> tuple[Rule, ...]:
        own = self._series
        memory = own.container("container_memory_working_set_bytes")
        cpu = own.container("container_cpu_usage_seconds_total")
        limits = {
            name: own.of("kube_pod_container_resource_limits", resource=name) for name in ("memory", "cpu")
        }
        free, size = (own.of(f"kubelet_volume_stats_{name}_bytes") for name in ("available", "capacity"))
        of_container, of_volume = "by (pod, container)", "by (persistentvolumeclaim)"
        who = "{{ $labels.pod }}/{{ $labels.container }} uses {{ $value | humanizePercentage }}"
        return (
            self._alert(
                "McpMemoryHigh",
                f"max {of_container} ({memory}) / max {of_container} ({limits['memory']}) > {_MOST_MEMORY}",
                "5m",
                "warning",
                f"{who} of its memory limit; at 100 % it is killed.",
            ),
            self._alert(
                "McpCpuHigh",
                f"max {of_container} (rate({cpu}[5m])) / max {of_container} ({limits['cpu']}) > {_MOST_CPU}",
                "10m",
                "warning",
                f"{who} of its CPU limit; at 100 % it is slowed down.",
            ),
            self._alert(
                "McpVolumeFilling",
                f"max {of_volume} ({free}) / max {of_volume} ({size}) < {_LEAST_SPACE}",
                "15m",
                "critical",
                "Volume {{ $labels.persistentvolumeclaim }} has {{ $value | humanizePercentage }} left.",
            ),
        )

    def _stores(self) -> tuple[Rule, ...]:
        own = self._series
        lost, refused = (own.gateway(f"mcp_audit_{name}_total") for name in ("records_lost", "calls_refused"))
        return (
            self._alert(
                "McpRedisUnavailable",
                f"min({own.gateway('mcp_gateway_redis_up')}) == 0",
                "1m",
                "warning",
                "A gateway gets no answer from Redis: limits and caches are its own for now.",
            ),
            self._alert(
                "McpPostgresUnavailable",
                f"min({own.gateway('mcp_postgres_up')}) == 0",
                "1m",
                "critical",
                "A gateway gets no answer from Postgres: no tasks, and audit records wait.",
            ),
            self._alert(
                "McpAuditRecordsLost",
                f"sum(increase({lost}[15m])) + sum(increase({refused}[15m])) > 0",
                "0m",
                "critical",
                "Audit records could not be written: they are on standard error, or calls were refused.",
            ),
        )

    def _replication(self) -> tuple[Rule, ...]:
        return tuple(
            self._alert(name, expr, lasting, "warning", summary)
            for name, expr, lasting, summary in conditions(self._series, self._members)
        )

    def _trust(self) -> tuple[Rule, ...]:
        own = self._series
        policy, lock = (
            own.gateway(f"mcp_gateway_{name}_reloads_total", outcome="refused") for name in ("policy", "lock")
        )
        keys = own.gateway("mcp_gateway_key_fetch_errors_total")
        return (
            self._alert(
                "McpToolsWithheld",
                f"max by (server, reason) ({own.gateway('mcp_tools_withheld')}) > 0",
                "5m",
                "warning",
                "{{ $value }} tools of server {{ $labels.server }} are withheld ({{ $labels.reason }}).",
            ),
            self._alert(
                "McpConfigurationRefused",
                f"sum by (pod) ({rose(policy, '15m')}) > 0 or sum by (pod) ({rose(lock, '15m')}) > 0",
                "0m",
                "warning",
                "{{ $labels.pod }} refused a new policy or lock and goes on with the one before.",
            ),
            self._alert(
                "McpIssuerKeysUnavailable",
                f"max by (issuer) ({rose(keys, '10m')}) > 0",
                "10m",
                "warning",
                "The keys of {{ $labels.issuer }} can't be fetched: its newest tokens may be refused.",
            ),
        )

    def _alert(self, name: str, expr: str, lasting: str, severity: Severity, summary: str) -> Rule:
        return alert(
            self._stack,
            self._monitoring,
            name,
            expr=expr,
            lasting=lasting,
            severity=severity,
            summary=summary,
        )
