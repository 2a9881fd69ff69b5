"""What the gateway counts, besides the tool metrics that it shares with every server."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.gateway.fleet import Fleet
from services.kit.metrics import DURATION_BUCKETS, KnownNames, ToolMetrics


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
        self.violations = Counter(
            "mcp_security_violations_total",
            "Requests refused for who or what sent them.",
            ["reason"],
            registry=registry,
        )
        self.policy_reloads = Counter(
            "mcp_gateway_policy_reloads_total",
            "Changes of the policy file that were taken over (loaded) or not (refused).",
            ["outcome"],
            registry=registry,
        )
        self.key_errors = Counter(
            "mcp_gateway_key_fetch_errors_total",
            "Failed attempts to fetch an issuer's keys.",
            ["issuer"],
            registry=registry,
        )
        self.missing = Counter(
            "mcp_gateway_list_servers_missing_total",
            "Servers that a list had to be answered without.",
            ["server"],
            registry=registry,
        )
        self.discovery_errors = Counter(
            "mcp_gateway_discovery_errors_total", "Failed attempts to learn about servers.", registry=registry
        )


class FleetCollector(Collector):
    """Reads the fleet when it is scraped, so that a server that is gone leaves no series behind."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def collect(self) -> Iterable[Metric]:
        """Servers, their ready endpoints, and the requests that are with them now."""
        servers = self._fleet.servers
        yield GaugeMetricFamily("mcp_gateway_servers", "Servers discovered.", value=len(servers))
        endpoints = GaugeMetricFamily(
            "mcp_gateway_endpoints", "Ready endpoints of a server.", labels=["server"]
        )
        in_flight = GaugeMetricFamily(
            "mcp_gateway_upstream_in_flight", "Requests that a server is answering now.", labels=["server"]
        )
        breakers = GaugeMetricFamily(
            "mcp_gateway_breaker_state",
            "A server's circuit breaker: 0 closed, 1 half open, 2 open.",
            labels=["server"],
        )
        retries = CounterMetricFamily(
            "mcp_gateway_upstream_retries", "Requests sent to a server again.", labels=["server"]
        )
        for name, server in servers.items():
            endpoints.add_metric([name], len(server.endpoints))
            in_flight.add_metric([name], sum(endpoint.in_flight for endpoint in server.endpoints.values()))
            breakers.add_metric([name], server.breaker.state)
            retries.add_metric([name], server.retries.spent)
        yield breakers
        yield retries
        yield endpoints
        yield in_flight
