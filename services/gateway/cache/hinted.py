"""Lists and resources, kept for as long and for whom their servers say: `ttlMs` and `cacheScope`."""

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Generic, TypeVar

import msgspec

from services.gateway.cache.keys import digest, owner_of
from services.gateway.cache.metrics import Kind
from services.gateway.cache.response_cache import Answer, Found, Keep, Query, ResponseCache, one
from services.gateway.call import Call
from services.gateway.fleet import Server
from services.gateway.messages import DECODE_ERRORS, RawObject

T = TypeVar("T")

_PUBLIC: Final = b'"public"'


@dataclass(frozen=True, slots=True)
class Told(Generic[T]):
    """An answer, and what its server says of keeping it."""

    value: T
    ttl_ms: int
    public: bool
    write: Callable[[T], bytes]
    """The answer as a blob; called where it is to be kept."""
    failed: bool = False
    """Whether there is nothing of the server's in it: who waited along needn't try, too."""


@dataclass(slots=True)
class Asked:
    """What is asked of a server, and under which keys the answer may be kept."""

    kind: Kind
    server: Server
    method: str
    release: tuple[str, ...]
    for_all: bytes
    owned: Callable[[], bytes]
    """The key of an answer for this caller alone."""


class HintedCache:
    """Answers what servers say themselves for how long it is fresh."""

    def __init__(self, cache: ResponseCache) -> None:
        self._cache = cache
        self._max_seconds = cache.settings.max_ttl_seconds
        self._kept_before: dict[tuple[str, str], bool] = {}
        """Server and method whose last answer was kept: whether for all. Only then is it worth waiting for
        the answer to another one's request; what isn't fresh at all must be asked for anew."""

    def asked(self, kind: Kind, call: Call, server: Server, what: object, told: object) -> Asked:
        """Prepare to ask.

        Args:
            kind: of the cache.
            call: who asks, and by which method.
            server: the one that is asked.
            what: of the method's parameters, all that the answer depends on, as JSON.
            told: what else the server learns, `circumstances(call)`.
        """
        parts = [*self._cache.base_of(kind, server), call.method, what, told]
        owned = partial(_owned, parts, call)
        return Asked(kind, server, call.method, server.release, digest(*parts, None), owned)

    def peek(self, asked: Asked) -> Found[Any] | None:
        """What this process keeps."""
        found = self._cache.peek(asked.kind, asked.server, asked.for_all)
        return found or self._cache.peek(asked.kind, asked.server, asked.owned())

    async def obtain(
        self,
        asked: Asked,
        fetch: Callable[[], Awaitable[Told[T]]],
        read: Callable[[bytes], T],
        objects: Callable[[T], int] = one,
    ) -> Found[T]:
        """What replicas share, or else what the server answers; for what `peek` doesn't find.

        Args:
            asked: what is asked for.
            fetch: asks the server.
            read: the reverse of `Told.write`.
            objects: how many JSON objects are decoded in an answer.

        Raises:
            RpcError: as `fetch`.
        """
        if not self._max_seconds:
            return Found((await fetch()).value)
        for_all, for_one = asked.for_all, asked.owned()
        known = asked.server.name, asked.method

        async def ask() -> Answer[T]:
            told = await fetch()
            if told.ttl_ms <= 0:
                self._kept_before.pop(known, None)
                return Answer(told.value, shareable=told.failed)
            self._kept_before[known] = told.public
            seconds = min(told.ttl_ms / 1000, self._max_seconds)
            key = for_all if told.public else for_one
            return Answer(told.value, Keep(key, told.write(told.value), seconds))

        flight = {None: None, True: for_all, False: for_one}[self._kept_before.get(known)]
        return await self._cache.obtain(
            Query(asked.kind, asked.server, asked.release, [for_all, for_one], flight, ask, read, objects)
        )


def _owned(parts: list[object], call: Call) -> bytes:
    return digest(*parts, owner_of(call))


def ttl_ms_of(result: RawObject) -> int:
    """For how long a result is fresh; 0 where it doesn't say."""
    with contextlib.suppress(*DECODE_ERRORS):
        return max(0, msgspec.json.decode(result.get("ttlMs", b"0"), type=int))
    return 0


def is_public(result: RawObject) -> bool:
    """Whether everybody may have a result."""
    return bytes(result.get("cacheScope", b"")) == _PUBLIC
