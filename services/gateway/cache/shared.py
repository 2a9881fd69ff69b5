"""The second level: what replicas share in Redis. Whenever it is away, slow, full or busy, we do without."""

import asyncio
from typing import Any, Final

from redis.exceptions import ResponseError

from services.gateway.cache.generations import Generations
from services.gateway.traffic.shared_store import KEY_PREFIX, SharedStore, StoreDownError
from services.kit.logs import get_logger

MAX_AT_ONCE: Final = 10
"""Requests of ours that are with Redis; more must not keep the limits from its connections."""
FULL_SHARE: Final = 0.75
"""Of its memory; from there on a Redis that forgets nothing gets no more of ours, for what else needs it."""
LOOK_SECONDS: Final = 5.0

_PREFIX: Final = f"{KEY_PREFIX}cache:"


class SharedCache:
    """Blobs by key, each with the time for which it is fresh.

    Attributes:
        writes: Those on their way to Redis.
    """

    def __init__(self, store: SharedStore, generations: Generations) -> None:
        self._store = store
        self._generations = generations
        self._reading = 0
        self.writes: set[asyncio.Task[None]] = set()
        self._full = False

    async def run(self) -> None:
        """Watch how full Redis is until cancelled."""
        while True:
            if not self._store.problem:
                await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def first(self, keys: list[bytes]) -> tuple[bytes, bytes, float] | None:
        """Of the first key for which there is something: the key, the blob, and the seconds that are left."""
        if not self._usable or self._reading >= MAX_AT_ONCE:
            return None
        self._reading += 1
        try:
            pipeline = self._store.client.pipeline(transaction=True)
            for key in keys:
                pipeline.get(_name(key))
                pipeline.pttl(_name(key))
            answers = await self._store.ask(pipeline.execute())
        except StoreDownError:
            return None
        finally:
            self._reading -= 1
        for key, blob, milliseconds in zip(keys, answers[::2], answers[1::2], strict=True):
            if blob is not None and milliseconds > 0:
                return key, blob, milliseconds / 1000
        return None

    def put(self, key: bytes, blob: bytes, seconds: float) -> None:
        """Write in the background, if that is possible now."""
        if not self._usable or self._full or len(self.writes) >= MAX_AT_ONCE:
            return
        task = asyncio.create_task(self._write(key, blob, max(1, int(seconds * 1000))))
        self.writes.add(task)
        task.add_done_callback(self.writes.discard)

    @property
    def _usable(self) -> bool:
        return self._generations.current and not self._store.problem

    async def _write(self, key: bytes, blob: bytes, milliseconds: int) -> None:
        try:
            await self._store.ask(self._store.client.set(_name(key), blob, px=milliseconds))
        except StoreDownError:
            return  # the store says so, in the log and as a metric

    async def _memory(self) -> dict[str, Any]:
        try:
            return await self._store.client.info("memory")
        except ResponseError:
            return {}  # we may not ask

    async def look(self) -> None:
        """See how full Redis is."""
        try:
            memory = await self._store.ask(self._memory())
        except StoreDownError:
            return
        full = _is_full(memory)
        if full != self._full:
            get_logger().warning("redis is nearly full" if full else "redis has room again")
        self._full = full


def _is_full(memory: dict[str, Any]) -> bool:
    most = memory.get("maxmemory", 0)
    forgets = memory.get("maxmemory_policy", "noeviction") != "noeviction"
    return bool(most) and not forgets and memory.get("used_memory", 0) > most * FULL_SHARE


def _name(key: bytes) -> str:
    return _PREFIX + key.hex()
