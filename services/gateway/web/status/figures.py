"""What the status page shows, as plain figures; whoever reads them twice has rates."""

import time
from collections.abc import Iterable
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.samples import Sample

from services.gateway.access import READ_SCOPE
from services.gateway.authorization import View
from services.gateway.fleet import Fleet, Server
from services.gateway.web.admin.replica import REPLICA
from services.gateway.web.operation import Operation, WebRequest
from services.kit.health import Health
from services.kit.ops import HealthReport, health_report

PATH: Final = "/status.json"

_REQUESTS: Final = "mcp_gateway_requests_total"
_IN_FLIGHT: Final = "mcp_gateway_requests_in_flight"
_TOOL_CALLS: Final = "mcp_tool_calls_total"
_CACHE_REQUESTS: Final = "mcp_cache_requests_total"
_CACHE_HITS: Final = "mcp_cache_hits_total"
_LIMIT_HITS: Final = "mcp_rate_limit_hits_total"
_SHED: Final = "mcp_gateway_shed_total"
_VIOLATIONS: Final = "mcp_security_violations_total"
_READ: Final = (
    *(_REQUESTS, _IN_FLIGHT, _TOOL_CALLS, _CACHE_REQUESTS),
    *(_CACHE_HITS, _LIMIT_HITS, _SHED, _VIOLATIONS),
)


class ServerFigures(msgspec.Struct):
    """One server; counters are since the start of the gateway's process."""

    name: str
    endpoints: int
    resting: int
    """Endpoints that failed of late, and are the last choice."""
    breaker: str
    in_flight: int
    waiting: int
    """Requests that wait for their turn."""
    calls: int
    """Of tools."""
    errors: int
    """Calls of tools that failed."""


class Totals(msgspec.Struct):
    """Counters of one replica since the start of its process."""

    requests: int
    refused: int
    """Answered with a status of 400 to 499."""
    failed: int
    """Answered with a status of 500 or more."""
    cache_requests: int
    cache_hits: int
    rate_limit_hits: int
    shed: int
    """Refused because of overload."""
    violations: int


class StatusFigures(msgspec.Struct):
    """The state of one replica; of the servers, those that the caller may see."""

    replica: str
    seconds: float
    """A clock that only goes forward, for rates between two readings."""
    in_flight: int
    health: HealthReport
    totals: Totals
    servers: list[ServerFigures]


def operations(service: str, health: Health, fleet: Fleet, registry: CollectorRegistry) -> list[Operation]:
    """The rows of the routing table."""

    async def answer(request: WebRequest) -> StatusFigures:
        samples = _samples(registry)
        return StatusFigures(
            replica=REPLICA,
            seconds=time.monotonic(),
            in_flight=_sum(samples, _IN_FLIGHT),
            health=await health_report(service, health),
            totals=_totals(samples),
            servers=_servers(fleet, request.view, samples),
        )

    return [
        Operation(
            path=PATH,
            answer=answer,
            scope=READ_SCOPE,
            summary="What the status page shows",
            returns=StatusFigures,
        )
    ]


def _samples(registry: CollectorRegistry) -> list[Sample]:
    families = registry.restricted_registry(_READ).collect()
    return [sample for family in families for sample in family.samples]


def _sum(samples: Iterable[Sample], name: str, **labels: str) -> int:
    """Of all series of that name whose labels begin so."""
    return round(
        sum(
            it.value
            for it in samples
            if it.name == name and all(it.labels[label].startswith(start) for label, start in labels.items())
        )
    )


def _totals(samples: list[Sample]) -> Totals:
    return Totals(
        requests=_sum(samples, _REQUESTS),
        refused=_sum(samples, _REQUESTS, status="4"),
        failed=_sum(samples, _REQUESTS, status="5"),
        cache_requests=_sum(samples, _CACHE_REQUESTS),
        cache_hits=_sum(samples, _CACHE_HITS),
        rate_limit_hits=_sum(samples, _LIMIT_HITS),
        shed=_sum(samples, _SHED),
        violations=_sum(samples, _VIOLATIONS),
    )


def _servers(fleet: Fleet, view: View, samples: list[Sample]) -> list[ServerFigures]:
    calls: dict[str, list[int]] = {}
    for it in samples:
        if it.name == _TOOL_CALLS:
            counted = calls.setdefault(it.labels["server"], [0, 0])
            counted[0] += round(it.value)
            counted[1] += round(it.value) if it.labels["status"] == "error" else 0
    return [
        _server(server, *calls.get(name, (0, 0))) for name, server in fleet.servers.items() if view.sees(name)
    ]


def _server(server: Server, calls: int, errors: int) -> ServerFigures:
    endpoints = server.endpoints.values()
    return ServerFigures(
        name=server.name,
        endpoints=len(endpoints),
        resting=sum(it.resting for it in endpoints),
        breaker=server.breaker.state.name.lower(),
        in_flight=sum(it.in_flight for it in endpoints),
        waiting=server.pool.waiting,
        calls=calls,
        errors=errors,
    )
