"""The fleet as metrics: read when they are scraped, so that a server that is gone leaves no series behind."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.gateway.fleet import Fleet, Server


@dataclass(frozen=True, slots=True)
class Reading:
    """One figure of each server."""

    family: type[GaugeMetricFamily | CounterMetricFamily]
    name: str
    meaning: str
    of: Callable[[Server], float]


READINGS: Final = (
    Reading(
        GaugeMetricFamily,
        "mcp_gateway_endpoints",
        "Ready endpoints of a server.",
        lambda server: len(server.endpoints),
    ),
    Reading(
        GaugeMetricFamily,
        "mcp_gateway_endpoints_resting",
        "Endpoints of a server that are its last choice now, since they failed.",
        lambda server: sum(endpoint.resting for endpoint in server.endpoints.values()),
    ),
    Reading(
        GaugeMetricFamily,
        "mcp_gateway_upstream_in_flight",
        "Requests that a server is answering now.",
        lambda server: sum(endpoint.in_flight for endpoint in server.endpoints.values()),
    ),
    Reading(
        GaugeMetricFamily,
        "mcp_gateway_pool_slots",
        "How many requests may be with a server at once.",
        lambda server: server.pool.limit,
    ),
    Reading(
        GaugeMetricFamily,
        "mcp_gateway_pool_slots_used",
        "Slots of a server's pool that are taken now.",
        lambda server: server.pool.used,
    ),
    Reading(
        GaugeMetricFamily,
        "mcp_gateway_pool_waiting",
        "Requests that wait for a slot of a server's pool now.",
        lambda server: server.pool.waiting,
    ),
    Reading(
        GaugeMetricFamily,
        "mcp_gateway_breaker_state",
        "A server's circuit breaker: 0 closed, 1 half open, 2 open.",
        lambda server: server.breaker.state,
    ),
    Reading(
        CounterMetricFamily,
        "mcp_gateway_upstream_retries_total",
        "Requests sent to a server again.",
        lambda server: server.retries.spent,
    ),
)


class FleetCollector(Collector):
    """Reads the fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def collect(self) -> Iterable[Metric]:
        """The number of servers, and each reading of each server."""
        servers = self._fleet.servers
        yield GaugeMetricFamily("mcp_gateway_servers", "Servers discovered.", value=len(servers))
        for reading in READINGS:
            family = reading.family(reading.name, reading.meaning, labels=["server"])
            for name, server in servers.items():
                family.add_metric([name], reading.of(server))
            yield family
