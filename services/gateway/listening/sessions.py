"""Which resources callers of the older generation subscribed to: kept for their sessions, by all replicas.

Such a caller subscribes by one request and hears on the stream of another, which any replica may hold. What
it wants to hear of is kept in Redis, for as long as the stream is there and a while beyond; without Redis, in
this process, which then is the only one.
"""

import contextlib
import hashlib
from collections import OrderedDict
from typing import Any, Final

from redis.asyncio.client import Pipeline

from services.gateway.call import Call
from services.gateway.errors import INVALID_PARAMS, UNAVAILABLE, RpcError
from services.gateway.traffic.shared_store import KEY_PREFIX, SharedStore, StoreDownError

CHANNEL: Final = f"{KEY_PREFIX}sessions"
"""Tells the replicas whose subscriptions have changed."""
EXPIRY_SECONDS: Final = 3600
"""Of what a session subscribed to, after its stream has ended."""
MAX_KEPT: Final = 10_000
"""Subscriptions that this process remembers where there is no Redis; beyond, the sessions that were quiet for
longest are forgotten."""

_LONGEST_SESSION: Final = 4096


def session_key(call: Call) -> str | None:
    """A session of this caller: whoever else knows its id has another one. None without a session."""
    if call.session is None or len(call.session) > _LONGEST_SESSION:
        return None
    who = call.principal
    parts = (who.issuer.encode(), who.subject.encode(), call.session)
    return hashlib.sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).hexdigest()


class Sessions:
    """The subscriptions of all sessions."""

    def __init__(self, store: SharedStore | None, most: int) -> None:
        """Prepare; a session may have `most` resources."""
        self._store = store
        self._most = most
        self._own: OrderedDict[str, set[str]] = OrderedDict()
        self._kept = 0

    async def add(self, key: str, uri: str) -> None:
        """Keep that a session wants to hear of a resource.

        Raises:
            RpcError: it has as many as it may, or Redis is away.
        """
        if uri in (found := await self.of(key)):
            return
        if len(found) >= self._most:
            raise RpcError(INVALID_PARAMS, f"a session may subscribe to {self._most} resources")
        if self._store is None:
            self._own.setdefault(key, set()).add(uri)
            self._kept += 1
            while self._kept > MAX_KEPT:
                self._kept -= len(self._own.popitem(last=False)[1])
        else:
            await self._change(self._store, key, "sadd", uri)

    async def remove(self, key: str, uri: str) -> None:
        """Forget it.

        Raises:
            RpcError: Redis is away.
        """
        if self._store is not None:
            await self._change(self._store, key, "srem", uri)
        elif uri in (found := self._own.get(key, set[str]())):
            found.remove(uri)
            self._kept -= 1
            if not found:
                del self._own[key]

    async def of(self, key: str) -> frozenset[str]:
        """What a session wants to hear of; from now on it is kept for a while again.

        Raises:
            RpcError: Redis is away.
        """
        if self._store is None:
            if key in self._own:
                self._own.move_to_end(key)
            return frozenset(self._own.get(key, ()))
        pipeline = self._store.client.pipeline(transaction=False)
        pipeline.smembers(_redis_key(key))
        pipeline.expire(_redis_key(key), EXPIRY_SECONDS)
        members, _ = await _ask(self._store, pipeline)
        return frozenset(member.decode() for member in members)

    async def _change(self, store: SharedStore, key: str, command: str, uri: str) -> None:
        pipeline = store.client.pipeline(transaction=False)
        pipeline.execute_command(command, _redis_key(key), uri)
        pipeline.expire(_redis_key(key), EXPIRY_SECONDS)
        pipeline.publish(CHANNEL, key)
        await _ask(store, pipeline)


def _redis_key(key: str) -> str:
    return f"{KEY_PREFIX}session:{key}"


async def _ask(store: SharedStore, pipeline: Pipeline) -> list[Any]:
    with contextlib.suppress(StoreDownError):
        if not store.problem:
            return await store.ask(pipeline.execute())
    raise RpcError(UNAVAILABLE, "subscriptions can't be kept or looked up now; try again")
