"""The circuit breakers: seen, held open (a server gets a pause), and reset."""

import math
from typing import Final, Literal

import msgspec

from services.gateway.access import ADMIN_SCOPE
from services.gateway.fleet import Fleet, Server
from services.gateway.web.admin.replica import REPLICA
from services.gateway.web.admin.servers import known
from services.gateway.web.operation import Operation, WebRequest

PATH: Final = "/admin/breakers"


class BreakerState(msgspec.Struct):
    """The breaker of one server."""

    server: str
    state: Literal["closed", "half_open", "open"]
    held: bool
    """Whether an operator opened it; it then stays open until it is reset."""
    seconds_left: float | None
    """Until a call may try again; null while it is held."""
    calls: int
    """Of late: what it judges by."""
    failures: int


class Breakers(msgspec.Struct):
    """All breakers of one replica."""

    replica: str
    breakers: list[BreakerState]


class BreakerAction(msgspec.Struct, forbid_unknown_fields=True):
    """What to do with a breaker."""

    action: Literal["reset", "open"]


def operations(fleet: Fleet) -> list[Operation]:
    """The rows of the routing table."""

    async def show(_request: WebRequest) -> Breakers:
        return Breakers(REPLICA, [_state(server) for server in fleet.servers.values()])

    async def act(request: WebRequest) -> BreakerState:
        server = known(fleet, request.path["server"])
        match request.content.action:
            case "open":
                server.breaker.hold_open()
            case _:
                server.breaker.reset()
        return _state(server)

    return [
        Operation(
            path=PATH,
            answer=show,
            scope=ADMIN_SCOPE,
            summary="The servers' circuit breakers in this replica",
            returns=Breakers,
        ),
        Operation(
            path=f"{PATH}/{{server}}",
            method="POST",
            answer=act,
            scope=ADMIN_SCOPE,
            summary="Open a server's breaker until it is reset, or reset it, in this replica",
            returns=BreakerState,
            takes=BreakerAction,
            refusals={404: "There is no such server"},
        ),
    ]


def _state(server: Server) -> BreakerState:
    breaker = server.breaker
    calls, failures = breaker.counts
    left = breaker.seconds_left
    return BreakerState(
        server=server.name,
        state=breaker.state.name.lower(),  # pyright: ignore[reportArgumentType] - the members' names are these
        held=breaker.held,
        seconds_left=None if math.isinf(left) else round(left, 1),
        calls=calls,
        failures=failures,
    )
