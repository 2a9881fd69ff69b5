"""What the gateway counts, besides the tool metrics that it shares with every server."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from services.kit.metrics import DURATION_BUCKETS, KnownNames, ToolMetrics, lost_spans, series_of


class GatewayMetrics:
    """The gateway's metrics, in a registry of their own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.tools = ToolMetrics(registry)
        self.known_tools = KnownNames()
        """Qualified names that were listed by a server or called with success."""
        self.requests = Counter(
            "mcp_gateway_requests_total",
            "Requests answered on /mcp.",
            ["method", "era", "status"],
            registry=registry,
        )
        self.durations = Histogram(
            "mcp_gateway_request_duration_seconds",
            "How long answering took.",
            ["method"],
            registry=registry,
            buckets=DURATION_BUCKETS,
        )
        self.requests_of = series_of(self.requests)
        self.durations_of = series_of(self.durations)
        self.violations = Counter(
            "mcp_security_violations_total",
            "Requests refused for who or what sent them.",
            ["reason"],
            registry=registry,
        )
        self.approvals = Counter(
            "mcp_gateway_approvals_total",
            "Questions whether a tool may be called (asked), and what became of calls that need approval.",
            ["outcome"],
            registry=registry,
        )
        self.policy_reloads = Counter(
            "mcp_gateway_policy_reloads_total",
            "Changes of the policy file that were taken over (loaded) or not (refused).",
            ["outcome"],
            registry=registry,
        )
        self.lock_reloads = Counter(
            "mcp_gateway_lock_reloads_total",
            "Changes of the tool lock's files that were taken over (loaded) or not (refused).",
            ["outcome"],
            registry=registry,
        )
        self.key_errors = Counter(
            "mcp_gateway_key_fetch_errors_total",
            "Failed attempts to fetch an issuer's keys.",
            ["issuer"],
            registry=registry,
        )
        self.lost_spans = lost_spans(registry)
        self.missing = Counter(
            "mcp_gateway_list_servers_missing_total",
            "Servers that a list had to be answered without.",
            ["server"],
            registry=registry,
        )
        self.discovery_errors = Counter(
            "mcp_gateway_discovery_errors_total", "Failed attempts to learn about servers.", registry=registry
        )
