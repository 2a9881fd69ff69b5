"""What callers get: calls of tools, their errors and times, answers from the cache, objectives. Pure."""

from __future__ import annotations

from infra.monitoring.objectives import FAILURES, SLOW
from infra.monitoring.panels import WINDOW, Panel, Query, graph, number
from infra.monitoring.series import Series, share, slowest
from infra.settings.monitoring import Objectives

_MOST_TOOLS = 10


def tools(own: Series, objectives: Objectives) -> list[tuple[str, list[Panel]]]:
    """Rows of panels."""
    calls = own.gateway("mcp_tool_calls_total")
    failed = own.gateway("mcp_tool_calls_total", status="error")
    errors = own.gateway("mcp_tool_errors_total")
    buckets = own.gateway("mcp_tool_duration_seconds_bucket")
    hits, asked = (own.gateway(f"mcp_cache_{name}_total") for name in ("hits", "requests"))
    rate, hit_share = f"rate({calls}[{WINDOW}])", share(f"rate({hits}[{WINDOW}])", f"rate({asked}[{WINDOW}])")
    error_share = f"rate({failed}[{WINDOW}])"
    return [
        (
            "Now",
            [
                number("Calls", f"sum({rate})", unit="reqps"),
                number("Errors", share(error_share, rate), unit="percentunit"),
                number("95 % are faster than", slowest(buckets, 0.95, WINDOW), unit="s"),
                number("From the cache", hit_share, unit="percentunit"),
                number("Running", f"sum({own.gateway('mcp_tool_calls_in_flight')})"),
                number("Servers", f"max({own.gateway('mcp_gateway_servers')})"),
            ],
        ),
        (
            "Calls",
            [
                graph("Calls by server", Query(f"sum by (server) ({rate})", "{{server}}"), unit="reqps"),
                graph(
                    "Busiest tools",
                    Query(f"topk({_MOST_TOOLS}, sum by (server, tool) ({rate}))", "{{server}} {{tool}}"),
                    unit="reqps",
                ),
                graph(
                    "Running by server",
                    Query(f"sum by (server) ({own.gateway('mcp_tool_calls_in_flight')})", "{{server}}"),
                ),
            ],
        ),
        (
            "Errors",
            [
                graph(
                    "Share of calls that fail, by server",
                    Query(share(error_share, rate, "server"), "{{server}}"),
                    unit="percentunit",
                ),
                graph(
                    "Errors by reason",
                    Query(f"sum by (error_type) (rate({errors}[{WINDOW}]))", "{{error_type}}"),
                    unit="reqps",
                ),
                graph(
                    "Tools that fail most",
                    Query(
                        f"topk({_MOST_TOOLS}, sum by (server, tool) (rate({errors}[{WINDOW}])))",
                        "{{server}} {{tool}}",
                    ),
                    unit="reqps",
                ),
            ],
        ),
        (
            "Times",
            [
                graph(
                    "All calls",
                    *(
                        Query(slowest(buckets, quantile, WINDOW), f"p{quantile * 100:g}")
                        for quantile in (0.5, 0.95, 0.99)
                    ),
                    unit="s",
                ),
                graph(
                    "p95 by server", Query(slowest(buckets, 0.95, WINDOW, "server"), "{{server}}"), unit="s"
                ),
                graph(
                    "Slowest tools, p95",
                    Query(
                        f"topk({_MOST_TOOLS}, {slowest(buckets, 0.95, WINDOW, 'server, tool')})",
                        "{{server}} {{tool}}",
                    ),
                    unit="s",
                ),
            ],
        ),
        ("Cache and objectives", _cache_and_objectives(own, objectives)),
    ]


def _cache_and_objectives(own: Series, objectives: Objectives) -> list[Panel]:
    hits, asked = (own.gateway(f"mcp_cache_{name}_total") for name in ("hits", "requests"))
    return [
        graph(
            "Share of answers from the cache",
            Query(share(f"rate({hits}[{WINDOW}])", f"rate({asked}[{WINDOW}])", "cache"), "{{cache}}"),
            unit="percentunit",
            most=1,
        ),
        graph(
            "Calls that failed for a reason of ours",
            Query(own.of(f"{FAILURES}1h"), "of an hour"),
            Query(own.of(f"{FAILURES}3d"), "of three days"),
            unit="percentunit",
            description=f"The objective allows {1 - objectives.availability:.3%}.",
        ),
        graph(
            f"Calls slower than {objectives.latency_seconds:g} s",
            Query(own.of(f"{SLOW}1h"), "of an hour"),
            Query(own.of(f"{SLOW}3d"), "of three days"),
            unit="percentunit",
            description=f"The objective allows {1 - objectives.latency:.3%}.",
        ),
    ]
