"""Lists and resources, kept for as long and for whom their servers say: `ttlMs` and `cacheScope`."""

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import msgspec

from services.gateway.cache.keys import circumstances, digest, owner_of
from services.gateway.cache.metrics import Kind
from services.gateway.cache.response_cache import Answer, Found, Keep, Query, ResponseCache
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


class HintedCache:
    """Answers what servers say themselves for how long it is fresh."""

    def __init__(self, cache: ResponseCache) -> None:
        self._cache = cache
        self._max_seconds = cache.settings.max_ttl_seconds
        self._kept_before: dict[tuple[str, str], bool] = {}
        """Server and method whose last answer was kept: whether for all. Only then is it worth waiting for
        the answer to another one's request; what isn't fresh at all must be asked for anew."""

    async def obtain(
        self,
        kind: Kind,
        call: Call,
        server: Server,
        what: object,
        fetch: Callable[[], Awaitable[Told[T]]],
        read: Callable[[bytes], T],
    ) -> Found[T]:
        """What is kept of what `call` asks for, or else what the server answers.

        Args:
            kind: of the cache.
            call: who asks, and by which method.
            server: the one that is asked.
            what: of the method's parameters, all that the answer depends on, as JSON.
            fetch: asks the server.
            read: the reverse of `Told.write`.

        Raises:
            RpcError: as `fetch`.
        """
        if not self._max_seconds:
            return Found((await fetch()).value)
        asked = [*self._cache.base_of(kind, server), call.method, what, circumstances(call)]
        for_all, for_one = digest(*asked, None), digest(*asked, owner_of(call))
        known = server.name, call.method

        async def ask() -> Answer[T]:
            told = await fetch()
            if told.ttl_ms <= 0:
                self._kept_before.pop(known, None)
                return Answer(told.value, shareable=told.failed)
            self._kept_before[known] = told.public
            seconds = min(told.ttl_ms / 1000, self._max_seconds)
            return Answer(
                told.value, Keep(for_all if told.public else for_one, told.write(told.value), seconds)
            )

        flight = {None: None, True: for_all, False: for_one}[self._kept_before.get(known)]
        return await self._cache.obtain(
            Query(kind, server, server.release, [for_all, for_one], flight, ask, read)
        )


def ttl_ms_of(result: RawObject) -> int:
    """For how long a result is fresh; 0 where it doesn't say."""
    with contextlib.suppress(*DECODE_ERRORS):
        return max(0, msgspec.json.decode(result.get("ttlMs", b"0"), type=int))
    return 0


def is_public(result: RawObject) -> bool:
    """Whether everybody may have a result."""
    return bytes(result.get("cacheScope", b"")) == _PUBLIC
