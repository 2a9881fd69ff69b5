"""What the gateway is busy with: requests, queues before servers, tasks, streams, refusals. Pure."""

from __future__ import annotations

from infra.monitoring.panels import WINDOW, Panel, Query, graph, number
from infra.monitoring.series import Series, slowest


def work(own: Series) -> list[tuple[str, list[Panel]]]:
    """Rows of panels."""
    return [
        ("Now", _now(own)),
        ("Queues before servers", _queues(own)),
        ("Tasks, audit records and streams", _background(own)),
        ("Requests", _requests(own)),
        ("Refusals", _refusals(own)),
    ]


def _now(own: Series) -> list[Panel]:
    def total(metric: str) -> str:
        return f"sum({own.gateway(metric)})"

    return [
        number("Requests in flight", total("mcp_gateway_requests_in_flight")),
        number("Waiting for a server", total("mcp_gateway_pool_waiting")),
        number(
            "Slots taken",
            f"{total('mcp_gateway_pool_slots_used')} / {total('mcp_gateway_pool_slots')}",
            unit="percentunit",
        ),
        number("Tasks running", total("mcp_tasks_running")),
        number("Streams of callers", total("mcp_gateway_streams")),
        number("Audit records waiting", total("mcp_audit_buffer_records")),
    ]


def _queues(own: Series) -> list[Panel]:
    used, slots, waiting = (
        f"sum by (server) ({own.gateway(f'mcp_gateway_pool_{name}')})"
        for name in ("slots_used", "slots", "waiting")
    )
    breakers = own.gateway("mcp_gateway_breaker_state")
    resting = own.gateway("mcp_gateway_endpoints_resting")
    return [
        graph("Waiting, by server", Query(waiting, "{{server}}")),
        graph("Slots taken, by server", Query(f"{used} / {slots}", "{{server}}"), unit="percentunit", most=1),
        graph(
            "Circuit breakers and resting endpoints",
            Query(f"max by (server) ({breakers})", "{{server}} breaker"),
            Query(f"max by (server) ({resting})", "{{server}} resting"),
            description="Breakers: 0 closed, 1 half open, 2 open.",
        ),
    ]


def _background(own: Series) -> list[Panel]:
    def rate(metric: str) -> str:
        return f"sum(rate({own.gateway(metric)}[{WINDOW}]))"

    flushes = own.gateway("mcp_audit_flush_seconds_bucket")
    return [
        graph(
            "Tasks",
            Query(f"sum({own.gateway('mcp_tasks_running')})", "running"),
            Query(rate("mcp_tasks_written_total"), "ended or asked, a second"),
            Query(rate("mcp_tasks_taken_over_total"), "taken over, a second"),
        ),
        graph(
            "Audit records",
            Query(rate("mcp_audit_records_written_total"), "written a second"),
            Query(rate("mcp_audit_flush_failures_total"), "failed writes a second"),
            Query(slowest(flushes, 0.95, WINDOW), "p95 of a write, seconds"),
        ),
        graph(
            "Streams",
            Query(f"sum({own.gateway('mcp_gateway_streams')})", "of callers"),
            Query(f"sum({own.gateway('mcp_gateway_upstream_streams')})", "of servers"),
        ),
    ]


def _requests(own: Series) -> list[Panel]:
    requests = own.gateway("mcp_gateway_requests_total")
    durations = own.gateway("mcp_gateway_request_duration_seconds_bucket")
    retries = own.gateway("mcp_gateway_upstream_retries_total")
    return [
        graph(
            "Requests by status",
            Query(f"sum by (status) (rate({requests}[{WINDOW}]))", "{{status}}"),
            unit="reqps",
        ),
        graph("p95 by method", Query(slowest(durations, 0.95, WINDOW, "method"), "{{method}}"), unit="s"),
        graph(
            "Sent to a server again",
            Query(f"sum by (server) (rate({retries}[{WINDOW}]))", "{{server}}"),
            unit="reqps",
        ),
    ]


def _refusals(own: Series) -> list[Panel]:
    limited, violations, shed = (
        own.gateway(name)
        for name in ("mcp_rate_limit_hits_total", "mcp_security_violations_total", "mcp_gateway_shed_total")
    )
    lag = own.gateway("mcp_gateway_event_loop_lag_seconds")
    return [
        graph(
            "Too many requests, by limit",
            Query(f"sum by (scope) (rate({limited}[{WINDOW}]))", "{{scope}}"),
            unit="reqps",
        ),
        graph(
            "Refused for security",
            Query(f"sum by (reason) (rate({violations}[{WINDOW}]))", "{{reason}}"),
            unit="reqps",
        ),
        graph(
            "Overload",
            Query(f"sum(rate({shed}[{WINDOW}]))", "refused a second"),
            Query(f"max({lag})", "event loop late, seconds"),
        ),
    ]
