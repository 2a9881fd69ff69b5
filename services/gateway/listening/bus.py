"""Brings changes to the streams of all replicas, each once.

A change is often heard of several times within moments: by each replica, from each endpoint of the server,
and from the other replicas through Redis. So callers are told a little after it was first heard of; what is
heard again until then is the same. What is heard later is told anew, since callers may have asked before.

Just before, what this replica keeps of it is forgotten, lest those who ask again get the old answer.

Without Redis each replica tells its callers of what it hears itself.
"""

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Final

import msgspec
from prometheus_client import CollectorRegistry, Counter
from redis.asyncio.client import PubSub

from services.gateway.cache.metrics import Kind as Kept
from services.gateway.listening.changes import Change
from services.gateway.listening.sessions import CHANNEL as SESSIONS
from services.gateway.listening.streams import Streams
from services.gateway.messages import DECODE_ERRORS
from services.gateway.traffic.shared_store import FAILURES, KEY_PREFIX, SharedStore, StoreDownError
from services.kit.logs import get_logger

CHANNEL: Final = f"{KEY_PREFIX}changes"
COALESCE_SECONDS: Final = 0.2
FORGET_SECONDS: Final = 0.05
"""From forgetting until telling: other replicas, which heard a little later, have forgotten by then, too."""
MAX_DUE: Final = 4096
"""Changes that wait to be told; more are told at once."""
MAX_UNSENT: Final = 1000
"""Changes that wait for Redis; more stay with the replica that heard of them."""
RETRY_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 0.1
"""Between two looks whether Redis is back."""


Forget = Callable[[str, Kept], Coroutine[Any, Any, None]]
"""Drops the kept lists, or reads, of a server."""


class _Message(msgspec.Struct, frozen=True, array_like=True):
    origin: str
    change: Change


_decoder: Final = msgspec.json.Decoder(_Message)
_encode: Final = msgspec.json.Encoder().encode


class Bus:
    """Where changes come in, and go out to streams and to other replicas."""

    def __init__(
        self,
        store: SharedStore | None,
        streams: Streams,
        forget: Forget,
        registry: CollectorRegistry,
    ) -> None:
        """Prepare.

        Args:
            store: the way to other replicas; None without any.
            streams: those of this replica.
            forget: drops the kept lists, or reads, of a server.
            registry: for the metrics.
        """
        self._store = store
        self._streams = streams
        self._forget = forget
        self._me = secrets.token_hex(8)
        self._due: set[Change] = set()
        self._outdated: set[tuple[str, Kept]] = set()
        """Whose kept answers are from before something that was heard."""
        self._forgetting: set[asyncio.Task[None]] = set()
        self._unsent: asyncio.Queue[Change] = asyncio.Queue(MAX_UNSENT)
        self._lost = Counter(
            "mcp_gateway_changes_unshared_total",
            "Changes that other replicas couldn't be told of.",
            registry=registry,
        )
        self._heard = Counter(
            "mcp_gateway_changes_total",
            "Changes that were heard of: here (from servers and the fleet), or from another replica.",
            ["source"],
            registry=registry,
        )

    def announce(self, change: Change) -> None:
        """This replica heard of a change."""
        self._heard.labels("here").inc()
        self._hear(change)
        if self._store is None:
            return
        try:
            self._unsent.put_nowait(change)
        except asyncio.QueueFull:
            self._lost.inc()

    async def send(self) -> None:
        """Tell other replicas until cancelled."""
        assert self._store is not None  # noqa: S101 - the app runs this only with Redis
        while True:
            change = await self._unsent.get()
            if self._store.problem:
                self._lost.inc()
                continue
            try:
                await self._store.ask(
                    self._store.client.publish(CHANNEL, _encode(_Message(self._me, change)))
                )
            except StoreDownError:
                self._lost.inc()

    async def receive(self) -> None:
        """Hear from other replicas until cancelled."""
        assert self._store is not None  # noqa: S101 - as above
        while True:
            if self._store.problem:
                await asyncio.sleep(LOOK_SECONDS)
                continue
            try:
                async with self._store.client.pubsub() as subscription:
                    await self._follow(subscription, self._store)
            except FAILURES as error:
                reason = f"{type(error).__name__}: {error}"
                get_logger().warning("other replicas aren't heard", reason=reason)
                await asyncio.sleep(RETRY_SECONDS)

    async def _follow(self, subscription: PubSub, store: SharedStore) -> None:
        """Hear until Redis is away; a connection that died without a sign is noticed by that, too."""
        await subscription.subscribe(CHANNEL, SESSIONS)
        while not store.problem:
            message = await subscription.get_message(ignore_subscribe_messages=True, timeout=RETRY_SECONDS)
            if message is None:
                continue
            data = message["data"] or b""
            if message["channel"] == SESSIONS.encode():
                self._streams.renew(data if isinstance(data, str) else data.decode())
                continue
            try:
                heard = _decoder.decode(data)
            except DECODE_ERRORS:
                get_logger().warning("a message of another replica isn't one")
                continue
            if heard.origin != self._me:
                self._heard.labels("replica").inc()
                self._hear(heard.change)

    def _hear(self, change: Change) -> None:
        self._outdated.add(_kept(change))
        if change in self._due:
            return
        if len(self._due) >= MAX_DUE:
            self._settle(change)
            return
        self._due.add(change)
        asyncio.get_running_loop().call_later(COALESCE_SECONDS, self._settle, change)

    def _settle(self, change: Change) -> None:
        """Forget what is kept, then tell."""
        self._due.discard(change)
        kept = _kept(change)
        if kept in self._outdated:
            self._outdated.remove(kept)
            task = asyncio.get_running_loop().create_task(self._forget(*kept), context=Context())
            self._forgetting.add(task)
            task.add_done_callback(self._forgetting.discard)
        if self._streams.wants(change):
            asyncio.get_running_loop().call_later(FORGET_SECONDS, self._streams.tell, change)


def _kept(change: Change) -> tuple[str, Kept]:
    return change.server, Kept.READS if change.uri else Kept.LISTS
