"""Resources, kept as their servers say."""

from collections.abc import Awaitable, Callable
from typing import Final

from services.gateway.cache.hinted import HintedCache, Told, is_public, ttl_ms_of
from services.gateway.cache.keys import circumstances
from services.gateway.cache.metrics import Kind
from services.gateway.call import Call
from services.gateway.fleet import Server
from services.gateway.messages import RawObject, decode_object, encode, raw

_PARAMETERS: Final = frozenset({"uri", "_meta"})
"""A read with any other is a round of several, or something that we don't know."""
_COMPLETE: Final = raw("complete")


class ReadCache:
    """Answers reads."""

    def __init__(self, hinted: HintedCache) -> None:
        self._hinted = hinted

    async def answer(
        self, call: Call, server: Server, uri: str, fetch: Callable[[], Awaitable[RawObject]]
    ) -> RawObject:
        """The resource, which may be changed; `ttlMs` is what is left of its time.

        Raises:
            RpcError: as `fetch`.
        """
        if call.params.keys() - _PARAMETERS:
            return _hinted(await fetch())

        async def ask() -> Told[RawObject]:
            result = _hinted(await fetch())
            ttl_ms = ttl_ms_of(result) if result.get("resultType") == _COMPLETE else 0
            return Told(result, ttl_ms, is_public(result), encode)

        asked = self._hinted.asked(Kind.READS, call, server, uri, circumstances(call))
        found = self._hinted.peek(asked) or await self._hinted.obtain(asked, ask, decode_object)
        call.cached = found.where
        result = dict(found.value)
        if found.seconds_left:
            result["ttlMs"] = raw(int(found.seconds_left * 1000))
        return result


def _hinted(result: RawObject) -> RawObject:
    """With the two hints that every resource has, also where its server left them out."""
    if result.get("resultType", _COMPLETE) == _COMPLETE:
        result.setdefault("ttlMs", raw(0))
        result.setdefault("cacheScope", raw("private"))
    return result
