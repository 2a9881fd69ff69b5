"""Results of tools, kept by rules."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Protocol

import msgspec

from services.gateway.cache.keys import canonical, circumstances, digest, owner_of
from services.gateway.cache.metrics import Kind
from services.gateway.cache.response_cache import Answer, Found, Keep, Query, ResponseCache
from services.gateway.cache.rules import Rule, Rules
from services.gateway.call import Call, Era
from services.gateway.eras import LOG_LEVEL_KEY
from services.gateway.fleet import Server
from services.gateway.messages import RawObject, decode_object, encode

_PARAMETERS: Final = frozenset({"name", "arguments", "_meta"})
"""A call with any other is a round of several, or something that we don't know."""
_NO_ARGUMENTS: Final = msgspec.Raw(b"{}")


class Fetch(Protocol):
    """Asks the server."""

    def __call__(
        self, arguments: msgspec.Raw | None = None, *, followed: bool = True
    ) -> Awaitable[RawObject]:
        """The result.

        Args:
            arguments: as they are to be written; None: as they came.
            followed: whether what the server says meanwhile goes to the caller.
        """
        ...


class ToolCache:
    """Answers calls of tools."""

    def __init__(
        self, cache: ResponseCache, rules: Rules, learn: Callable[[Server, Call], Awaitable[object]]
    ) -> None:
        """Prepare.

        Args:
            cache: where results are kept.
            rules: which are.
            learn: has a server list its tools, so that its `cache_rules` are known.
        """
        self._cache = cache
        self._rules = rules
        self._learn = learn

    async def answer(self, call: Call, server: Server, tool: str, qualified: str, fetch: Fetch) -> RawObject:
        """The result of a call, which may be changed.

        Raises:
            RpcError: as `fetch`.
        """
        rule = await self._rule(call, server, tool, qualified)
        if rule is None or call.params.keys() - _PARAMETERS:
            return await fetch()
        arguments = canonical(call.params.get("arguments", _NO_ARGUMENTS))
        if arguments is None:
            return await fetch()
        base = self._cache.base_of(Kind.TOOLS, server)
        owner = None if rule.public else owner_of(call)
        # An older caller's parameters may be put into headers on the way; newer ones are refused without.
        key = digest(*base, tool, arguments, call.era, circumstances(call), owner)
        found = self._cache.peek(Kind.TOOLS, server, key)
        if found is None:
            found = await self._obtain(call, server, key, rule, partial(fetch, arguments))
        call.cached = found.where
        return dict(found.value)

    async def _obtain(
        self, call: Call, server: Server, key: bytes, rule: Rule, fetch: Callable[..., Awaitable[RawObject]]
    ) -> Found[RawObject]:
        followed = _is_followed(call)

        async def ask() -> Answer[RawObject]:
            result = await fetch(followed=followed)
            if _is_final(result):
                return Answer(result, Keep(key, encode(result), rule.seconds))
            return Answer(result, shareable=_is_complete(result))

        flight = None if followed else key
        return await self._cache.obtain(
            Query(Kind.TOOLS, server, server.release, [key], flight, ask, decode_object)
        )

    async def _rule(self, call: Call, server: Server, tool: str, qualified: str) -> Rule | None:
        rule = self._rules.configured(qualified)
        if rule is None and self._rules.trusts(server.name):
            if server.cache_rules is None:
                await self._learn(server, call)
            rule = (server.cache_rules or {}).get(tool)
        return rule if rule and rule.seconds else None


def _is_followed(call: Call) -> bool:
    """Whether the caller wants to hear of its call while it runs: it gets one of its own."""
    return "progressToken" in call.meta or (call.era is Era.STATELESS and LOG_LEVEL_KEY in call.meta)


def _is_complete(result: RawObject) -> bool:
    return bytes(result.get("resultType", b"")) == b'"complete"'


def _is_final(result: RawObject) -> bool:
    """Whether it can be kept: complete, and no error that may be gone the next time."""
    return _is_complete(result) and bytes(result.get("isError", b"false")) == b"false"
