"""The response cache: what is kept, and forgetting it."""

from typing import Any, Final, Literal

import msgspec

from services.gateway.access import ADMIN_SCOPE
from services.gateway.cache.metrics import Kind
from services.gateway.cache.response_cache import ResponseCache
from services.gateway.errors import HttpRefusal
from services.gateway.fleet import Fleet
from services.gateway.web.admin.replica import REPLICA
from services.gateway.web.admin.servers import known
from services.gateway.web.operation import Operation, Parameter, WebRequest

PATH: Final = "/admin/cache"

_SERVER: Final = "The server whose answers are forgotten; those of all when left out"
_KIND: Final = f"Of that server, only: {', '.join(Kind)}"


class Kept(msgspec.Struct):
    """What this replica keeps of one server's answers."""

    server: str
    cache: str
    """`tools`, `lists` or `reads`."""
    entries: int
    bytes: int


class CacheState(msgspec.Struct):
    """The cache of one replica."""

    replica: str
    entries: int
    bytes: int
    shared: bool
    """Whether it is shared with other replicas now, through Redis."""
    kept: list[Kept]
    settings: dict[str, Any]


class Purged(msgspec.Struct):
    """What was forgotten; null stands for all."""

    server: str | None
    cache: str | None
    replicas: Literal["all", "this"]
    """Who forgets it: all, which hear of it through Redis within seconds, or (without Redis) this one."""


def operations(cache: ResponseCache, fleet: Fleet) -> list[Operation]:
    """The rows of the routing table."""

    async def show(_request: WebRequest) -> CacheState:
        kept = sorted(cache.memory.kept().items())
        return CacheState(
            replica=REPLICA,
            entries=len(cache.memory),
            bytes=cache.memory.bytes,
            shared=cache.shares,
            kept=[Kept(server, kind, entries, size) for (server, kind), (entries, size) in kept],
            settings=cache.settings.model_dump(mode="json"),
        )

    async def purge(request: WebRequest) -> Purged:
        server, kind = request.query.get("server"), _kind(request)
        if server is not None:
            known(fleet, server)
        await cache.purge(server, kind)
        return Purged(server, kind, "all" if cache.shares else "this")

    return [
        Operation(
            path=PATH,
            answer=show,
            scope=ADMIN_SCOPE,
            summary="What the response cache keeps in this replica",
            returns=CacheState,
        ),
        Operation(
            path=PATH,
            method="DELETE",
            answer=purge,
            scope=ADMIN_SCOPE,
            summary="Forget a server's answers, or all: here now, in other replicas within seconds",
            returns=Purged,
            query={"server": Parameter(_SERVER), "cache": Parameter(_KIND, values=tuple(Kind))},
            refusals={404: "There is no such server"},
        ),
    ]


def _kind(request: WebRequest) -> Kind | None:
    text = request.query.get("cache")
    if text is None:
        return None
    if text not in list(Kind) or "server" not in request.query:
        message = f"cache must be one of {', '.join(Kind)}, of a server"
        raise HttpRefusal(400, message, reason="query", violation=False)
    return Kind(text)
