"""Answers that are kept: looked for in this process, then in Redis, then fetched, by one for all who wait."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from prometheus_client import CollectorRegistry

from services.gateway.cache.flights import Flights
from services.gateway.cache.generations import Generations
from services.gateway.cache.memory import ENTRY_BYTES, OBJECT_BYTES, Entry, Memory
from services.gateway.cache.metrics import CacheMetrics, Kind, Level, MemoryCollector
from services.gateway.cache.shared import SharedCache
from services.gateway.config_cache import Cache as Settings
from services.gateway.fleet import Server
from services.gateway.messages import DECODE_ERRORS
from services.gateway.traffic.shared_store import SharedStore

T = TypeVar("T")

JOINED: Final = "joined"
"""Where an answer came from that another request was waiting for already."""


@dataclass(frozen=True, slots=True)
class Keep:
    """That an answer is to be kept, and how."""

    key: bytes
    blob: bytes
    seconds: float


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What a server answered."""

    value: T
    keep: Keep | None = None
    shareable: bool = False
    """Whether, though it isn't kept, it is for everybody who asked the same meanwhile."""


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """What is given to who asked."""

    value: T
    seconds_left: float = 0.0
    """For how long it is fresh."""
    where: str = ""
    """`l1`, `l2`, `joined`; empty where the server was asked for this request alone."""


def one(_value: object) -> int:
    """What most values are made of."""
    return 1


@dataclass(frozen=True, slots=True)
class Query(Generic[T]):
    """Something that may be kept.

    Attributes:
        kind: Of the cache, for the metrics.
        server: Whose answer it is.
        release: The server's, when the keys were made.
        keys: Under which it may be; what everybody may have goes first.
        flight: Who asks under the same key meanwhile waits for one answer; None for who wants one of its own.
        fetch: Asks the server.
        read: What a blob says; raises a decode error where it says nothing.
        objects: How many JSON objects are decoded in a value.
    """

    kind: Kind
    server: Server
    release: tuple[str, ...]
    keys: list[bytes]
    flight: bytes | None
    fetch: Callable[[], Awaitable[Answer[T]]]
    read: Callable[[bytes], T]
    objects: Callable[[T], int] = one


class ResponseCache:
    """Both levels, and what is being fetched."""

    def __init__(
        self, settings: Settings, store: SharedStore | None, registry: CollectorRegistry, made_by: str
    ) -> None:
        """Prepare.

        Args:
            settings: what is kept.
            store: where replicas share it.
            registry: for the metrics.
            made_by: whatever decides what the gateway makes of an answer; replicas that differ in it don't
                share.
        """
        self.settings = settings
        self._made_by = hashlib.sha256(made_by.encode()).hexdigest()
        self._metrics = CacheMetrics(registry)
        self.memory = Memory(settings.memory_bytes, self._metrics.evicted)
        registry.register(MemoryCollector(self.memory))
        shared = store if settings.redis else None
        self._generations = Generations(shared, self.memory.drop)
        self._shared = None if shared is None else SharedCache(shared, self._generations)
        self._flights: Flights[tuple[Answer[Any], Found[Any]]] = Flights()

    async def run(self) -> None:
        """Follow what other replicas do until cancelled."""
        if self._shared is not None:
            await asyncio.gather(self._generations.run(), self._shared.run())

    @property
    def shares(self) -> bool:
        """Whether other replicas hear of purges now, and share what they keep."""
        return self._shared is not None and self._generations.current

    async def purge(self, server: str | None = None, kind: Kind | None = None) -> None:
        """Forget the answers of a server (of a kind), or all: here now, in other replicas within seconds."""
        await self._generations.renew(server, kind)

    def base_of(self, kind: Kind, server: Server) -> list[object]:
        """The beginning of every key: it changes with the server's release, and with every purge."""
        purges = self._generations.of(server.name, kind)
        return [self._made_by, kind, server.name, server.release, purges]

    def peek(self, kind: Kind, server: Server, key: bytes) -> Found[Any] | None:
        """What this process keeps under a key; counted as a request where there is something."""
        entry = self.memory.get(key)
        if entry is None:
            return None
        self._metrics.requests_of(kind, server.name).inc()
        self._metrics.hits_of(kind, Level.MEMORY, server.name).inc()
        return Found(entry.value, entry.seconds_left, Level.MEMORY)

    async def obtain(self, query: Query[T]) -> Found[T]:
        """What replicas share, or else what the server answers; for what `peek` doesn't find.

        Raises:
            RpcError: the server can't be asked, or answered with an error; also to those who waited along.
        """
        kind, server = query.kind, query.server.name
        self._metrics.requests_of(kind, server).inc()
        if query.flight is None:
            return (await self._fill(query))[1]
        (answer, found), began = await self._flights.share(query.flight, lambda: self._fill(query))
        if began:
            return found
        self._metrics.joined.labels(kind, server).inc()
        if answer.shareable if answer.keep is None else answer.keep.key in query.keys:
            return Found(found.value, found.seconds_left, JOINED)
        return (await self._fill(query))[1]

    async def _fill(self, query: Query[T]) -> tuple[Answer[T], Found[T]]:
        if self._shared is not None and (kept := await self._shared.first(query.keys)):
            key, blob, seconds = kept
            try:
                value = query.read(blob)
            except DECODE_ERRORS:
                pass  # not ours; it is fetched, and written anew
            else:
                self._metrics.hits_of(query.kind, Level.REDIS, query.server.name).inc()
                self._remember(query, Keep(key, blob, seconds), value)
                return Answer(value, Keep(key, blob, seconds)), Found(value, seconds, Level.REDIS)
        answer = await query.fetch()
        keep = answer.keep
        if keep is None:
            return answer, Found(answer.value)
        if self._may_keep(query, keep):
            value = query.read(keep.blob)
            self._remember(query, keep, value)
            if self._shared is not None:
                self._shared.put(keep.key, keep.blob, keep.seconds)
        return answer, Found(answer.value, keep.seconds)

    def _may_keep(self, query: Query[Any], keep: Keep) -> bool:
        """Not while it is unclear which release gave the answer."""
        server = query.server
        known = bool(query.release) and server.settled and server.release == query.release
        return known and len(keep.blob) <= self.settings.max_entry_bytes

    def _remember(self, query: Query[T], keep: Keep, value: T) -> None:
        size = len(keep.blob) + ENTRY_BYTES + OBJECT_BYTES * query.objects(value)
        entry = Entry(value, query.server.name, query.kind, size, time.monotonic() + keep.seconds)
        self.memory.put(keep.key, entry)
