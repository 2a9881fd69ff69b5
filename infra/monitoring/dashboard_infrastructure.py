"""What the stack stands on: pods, memory, CPU, volumes, Redis, Postgres. Pure."""

from __future__ import annotations

from infra.monitoring.panels import WINDOW, Panel, Query, graph, number
from infra.monitoring.series import Series

_CONTAINER = "by (pod, container)"
_CONTAINER_LEGEND = "{{pod}} {{container}}"


def infrastructure(own: Series) -> list[tuple[str, list[Panel]]]:
    """Rows of panels."""
    return [
        ("Now", _now(own)),
        ("Containers", _containers(own)),
        ("Processes and volumes", _processes(own)),
        ("Redis", _redis(own)),
        ("Postgres", _postgres(own)),
    ]


def _now(own: Series) -> list[Panel]:
    up = own.of("up")
    return [
        number("Pods that answer", f"sum({up})"),
        number("Pods that don't", f"count({up}) - sum({up})"),
        number(
            "Redis", f"min({own.gateway('mcp_gateway_redis_up')})", description="1: all gateways reach it."
        ),
        number("Postgres", f"min({own.gateway('mcp_postgres_up')})", description="1: all gateways reach it."),
        number(
            "Restarts in an hour",
            f"sum(increase({own.of('kube_pod_container_status_restarts_total')}[1h]))",
        ),
        number("Spans lost", f"sum(increase({own.of('mcp_trace_spans_lost_total')}[1h]))"),
    ]


def _containers(own: Series) -> list[Panel]:
    memory = own.container("container_memory_working_set_bytes")
    cpu = own.container("container_cpu_usage_seconds_total")

    def limit(resource: str) -> str:
        return f"max {_CONTAINER} ({own.of('kube_pod_container_resource_limits', resource=resource)})"

    return [
        graph(
            "Memory, of the limit",
            Query(f"max {_CONTAINER} ({memory}) / {limit('memory')}", _CONTAINER_LEGEND),
            unit="percentunit",
            most=1,
        ),
        graph(
            "CPU, of the limit",
            Query(f"max {_CONTAINER} (rate({cpu}[{WINDOW}])) / {limit('cpu')}", _CONTAINER_LEGEND),
            unit="percentunit",
            most=1,
        ),
        graph("Pods by service", Query(f"sum by (job) ({own.of('up')})", "{{job}}")),
    ]


def _processes(own: Series) -> list[Panel]:
    free, size = (own.of(f"kubelet_volume_stats_{name}_bytes") for name in ("available", "capacity"))
    volume = "by (persistentvolumeclaim)"
    return [
        graph("Memory of processes", Query(own.of("process_resident_memory_bytes"), "{{pod}}"), unit="bytes"),
        graph("Open files of processes", Query(own.of("process_open_fds"), "{{pod}}")),
        graph(
            "Volumes, taken",
            Query(f"1 - max {volume} ({free}) / max {volume} ({size})", "{{persistentvolumeclaim}}"),
            unit="percentunit",
            most=1,
        ),
    ]


def _redis(own: Series) -> list[Panel]:
    return [
        graph(
            "Memory",
            Query(own.of("redis_memory_used_bytes"), "used"),
            Query(own.of("redis_memory_max_bytes"), "limit"),
            unit="bytes",
        ),
        graph("Connections", Query(own.of("redis_connected_clients"), "{{pod}}")),
        graph(
            "Commands",
            Query(f"sum(rate({own.of('redis_commands_processed_total')}[{WINDOW}]))", "a second"),
            unit="reqps",
        ),
    ]


def _postgres(own: Series) -> list[Panel]:
    """A single server's exporter and CloudNativePG's have other names for the same."""
    backends, sizes = own.of("cnpg_backends_total"), own.of("cnpg_pg_database_size_bytes")
    most = own.of("cnpg_pg_settings_setting", name="max_connections")

    def transactions(end: str) -> str:
        name = f"pg_stat_database_xact_{end}"
        rates = [f"rate({own.of(prefix + name)}[{WINDOW}])" for prefix in ("", "cnpg_")]
        return f"sum({' or '.join(rates)})"

    return [
        graph(
            "Connections",
            Query(f"sum by (state) ({own.of('pg_stat_activity_count')} or {backends})", "{{state}}"),
            Query(f"max({own.of('pg_settings_max_connections')} or {most})", "limit"),
        ),
        graph(
            "Transactions",
            Query(transactions("commit"), "committed a second"),
            Query(transactions("rollback"), "rolled back a second"),
        ),
        graph(
            "Size of databases",
            Query(f"max by (datname) ({own.of('pg_database_size_bytes')} or {sizes})", "{{datname}}"),
            unit="bytes",
        ),
    ]
