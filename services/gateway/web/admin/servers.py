"""The servers that the gateway knows, and how it gets on with each."""

from typing import Final

import msgspec

from services.gateway.access import ADMIN_SCOPE
from services.gateway.errors import HttpRefusal
from services.gateway.fleet import Endpoint, Fleet, Server
from services.gateway.web.admin.replica import REPLICA
from services.gateway.web.operation import Operation, WebRequest
from services.kit.version import VERSION

PATH: Final = "/admin/servers"


class EndpointState(msgspec.Struct):
    """One replica of a server."""

    url: str
    in_flight: int
    failures: int
    """In a row."""
    resting_seconds: float
    """For how long it is the last choice, since it failed."""
    version: str | None
    """What it says it is; empty where it says nothing, null while it wasn't asked."""
    trusted: bool
    """Whether its tools are those that were approved, if any need be; else it gets no requests."""


class PoolState(msgspec.Struct):
    """How many requests may be with the server at once."""

    slots: int
    used: int
    waiting: int


class ServerState(msgspec.Struct):
    """One server."""

    name: str
    breaker: str
    pool: PoolState
    retries: int
    """Requests that were sent to it again."""
    endpoints: list[EndpointState]


class FleetState(msgspec.Struct):
    """All servers, as one replica of the gateway sees them."""

    replica: str
    version: str
    servers: list[ServerState]


def operations(fleet: Fleet) -> list[Operation]:
    """The rows of the routing table."""

    async def answer(_request: WebRequest) -> FleetState:
        return FleetState(REPLICA, VERSION, [_state(server) for server in fleet.servers.values()])

    return [
        Operation(
            path=PATH,
            answer=answer,
            scope=ADMIN_SCOPE,
            summary="The servers, their endpoints, and what is with them now",
            returns=FleetState,
        )
    ]


def known(fleet: Fleet, name: str) -> Server:
    """The server of that name.

    Raises:
        HttpRefusal: 404.
    """
    server = fleet.get(name)
    if server is None:
        message = f"there is no server {name[:100]!r}"
        raise HttpRefusal(404, message, reason="unknown_server", violation=False)
    return server


def _state(server: Server) -> ServerState:
    pool = server.pool
    return ServerState(
        name=server.name,
        breaker=server.breaker.state.name.lower(),
        pool=PoolState(pool.limit, pool.used, pool.waiting),
        retries=server.retries.spent,
        endpoints=[_endpoint(it) for it in server.endpoints.values()],
    )


def _endpoint(endpoint: Endpoint) -> EndpointState:
    return EndpointState(
        url=endpoint.url,
        in_flight=endpoint.in_flight,
        failures=endpoint.failures,
        resting_seconds=round(endpoint.resting_seconds, 1),
        version=endpoint.version,
        trusted=endpoint.trusted,
    )
