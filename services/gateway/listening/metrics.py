"""What is counted of streams."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.gateway.listening.stream import End


class ListeningMetrics:
    """Streams of callers, and ours at servers."""

    def __init__(
        self, registry: CollectorRegistry, streams: Callable[[], int], upstream: Callable[[], int]
    ) -> None:
        self.ended = Counter(
            "mcp_gateway_streams_ended_total",
            "Streams of callers that ended, by why.",
            ["reason"],
            registry=registry,
        )
        for reason in End:
            self.ended.labels(reason)
        self.sent = Counter(
            "mcp_gateway_notifications_total",
            "Notifications sent on streams of callers, by what changed.",
            ["kind"],
            registry=registry,
        )
        gauge = Gauge("mcp_gateway_streams", "Streams on which callers hear of changes.", registry=registry)
        gauge.set_function(streams)
        gauge = Gauge(
            "mcp_gateway_upstream_streams",
            "Streams on which we hear of changes from servers.",
            registry=registry,
        )
        gauge.set_function(upstream)
