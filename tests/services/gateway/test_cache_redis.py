"""Purges and shared answers in a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry

from services.gateway.cache.generations import Generations
from services.gateway.cache.shared import SharedCache
from services.gateway.config import Redis
from services.gateway.traffic.shared_store import SharedStore

if TYPE_CHECKING:
    from conftest import RedisServer


def with_stores(server: RedisServer, run: Callable[..., Awaitable[None]], number: int = 1) -> None:
    async def main() -> None:
        settings = Redis.model_validate(server.patient_settings)
        stores = [SharedStore(settings, CollectorRegistry()) for _ in range(number)]
        for store in stores:
            await store.probe()
        try:
            await run(*stores)
        finally:
            for store in stores:
                await store.close()

    asyncio.run(main())


class Replica:
    """Generations, and what they told of purges."""

    def __init__(self, store: SharedStore | None) -> None:
        self.purged: list[tuple[str | None, str | None]] = []
        self.generations = Generations(store, lambda server, kind: self.purged.append((server, kind)))

    def of(self, server: str = "a", kind: str = "tools") -> list[str]:
        return self.generations.of(server, kind)


def test_a_purge_reaches_the_other_replicas(redis_server: RedisServer) -> None:
    async def run(*stores: SharedStore) -> None:
        here, there = Replica(stores[0]), Replica(stores[1])
        await here.generations.refresh()
        await there.generations.refresh()
        before = there.of()
        await here.generations.renew("a", None)
        assert here.purged == [("a", None)]
        assert there.purged == []
        await there.generations.refresh()
        assert there.purged == [("a", None)]
        assert there.of() == here.of() != before
        await there.generations.renew("a", "lists")
        await here.generations.refresh()
        assert here.purged[1:] == [("a", "lists")]
        tools = here.of()
        await here.generations.renew(None, None)
        await there.generations.refresh()
        assert there.purged[-1] == (None, None)
        assert there.of() == here.of() != tools
        for replica in (here, there):
            told = list(replica.purged)
            await replica.generations.refresh()
            assert replica.purged == told

    with_stores(redis_server, run, 2)


def test_a_purge_of_one_kind_leaves_the_others(redis_server: RedisServer) -> None:
    async def run(store: SharedStore) -> None:
        replica = Replica(store)
        await replica.generations.renew("b", None)
        before = {kind: replica.of(kind=kind) for kind in ("tools", "lists")}
        await replica.generations.renew("a", "lists")
        assert replica.of(kind="tools") == before["tools"]
        assert replica.of(kind="lists") != before["lists"]
        with pytest.raises(ValueError, match="of one server"):
            await replica.generations.renew(None, "lists")

    with_stores(redis_server, run)


def test_purges_at_the_same_time_leave_each_other_alone(redis_server: RedisServer) -> None:
    async def run(store: SharedStore) -> None:
        replica = Replica(store)
        kinds = ("lists", "reads")
        for _ in range(100):
            before = [replica.of(kind=kind) for kind in kinds]
            await asyncio.gather(*(replica.generations.renew("a", kind) for kind in kinds))
            after = [replica.of(kind=kind) for kind in kinds]
            assert all(new != old for new, old in zip(after, before, strict=True))

    with_stores(redis_server, run)


def test_purges_that_redis_lost_are_written_again(redis_server: RedisServer) -> None:
    async def run(*stores: SharedStore) -> None:
        here, there = Replica(stores[0]), Replica(stores[1])
        await here.generations.renew("a", None)
        token = here.of()
        with redis_server.client() as client:
            client.flushall()
        await here.generations.refresh()
        await there.generations.refresh()
        assert there.of() == token

    with_stores(redis_server, run, 2)


def test_a_purge_while_redis_is_away_counts_here_and_reaches_the_others_later(
    redis_server: RedisServer,
) -> None:
    async def run(*stores: SharedStore) -> None:
        here, there = Replica(stores[0]), Replica(stores[1])
        await here.generations.refresh()
        redis_server.stop()
        before = here.of()
        await here.generations.renew("a", None)
        assert here.of() != before
        assert not here.generations.current
        redis_server.start()
        for store, replica in zip(stores, (here, there), strict=True):
            await store.probe()
            await replica.generations.refresh()
        assert here.generations.current
        assert there.of() == here.of()

    with_stores(redis_server, run, 2)


def nothing(_server: str | None, _kind: str | None) -> None:
    """Hear of a purge."""


async def shared_cache(store: SharedStore) -> SharedCache:
    generations = Generations(store, nothing)
    await generations.refresh()
    return SharedCache(store, generations)


async def written_out(cache: SharedCache) -> None:
    await asyncio.gather(*cache.writes)


def test_what_is_shared_expires(redis_server: RedisServer) -> None:
    async def run(store: SharedStore) -> None:
        cache = await shared_cache(store)
        cache.put(b"1", b"one", 60.0)
        cache.put(b"2", b"two", 0.05)
        await written_out(cache)
        found = await cache.first([b"missing", b"1"])
        assert found is not None
        assert found[:2] == (b"1", b"one")
        assert 50 < found[2] <= 60
        await asyncio.sleep(0.1)
        assert await cache.first([b"2"]) is None

    with_stores(redis_server, run)


def test_nothing_is_shared_before_the_purges_are_known(redis_server: RedisServer) -> None:
    async def run(store: SharedStore) -> None:
        generations = Generations(store, nothing)
        cache = SharedCache(store, generations)
        cache.put(b"1", b"one", 60.0)
        assert not cache.writes
        await generations.refresh()
        cache.put(b"1", b"one", 60.0)
        await written_out(cache)
        assert await cache.first([b"1"])

    with_stores(redis_server, run)


def test_a_redis_that_is_nearly_full_is_left_to_the_others(redis_server: RedisServer) -> None:
    async def run(store: SharedStore) -> None:
        cache = await shared_cache(store)
        cache.put(b"1", b"one", 60.0)
        await written_out(cache)
        with redis_server.client() as client:
            used = client.info("memory")["used_memory"]
            client.config_set("maxmemory", str(int(used * 1.1)))
        await cache.look()
        cache.put(b"2", b"two", 60.0)
        assert not cache.writes
        assert await cache.first([b"1"])
        with redis_server.client() as client:
            client.config_set("maxmemory-policy", "allkeys-lru")  # it forgets what it has no room for
        await cache.look()
        cache.put(b"2", b"two", 60.0)
        await written_out(cache)
        assert await cache.first([b"2"])
        assert store.problem is None

    with_stores(redis_server, run)


def test_a_user_who_may_not_ask_how_full_redis_is_can_use_it(redis_server: RedisServer) -> None:
    async def run(store: SharedStore) -> None:
        with redis_server.client() as client:
            client.execute_command("ACL", "SETUSER", "default", "-info")
        cache = await shared_cache(store)
        await cache.look()
        assert store.problem is None
        cache.put(b"1", b"one", 60.0)
        await written_out(cache)
        assert await cache.first([b"1"])

    with_stores(redis_server, run)


def test_without_redis_there_is_simply_nothing(redis_server: RedisServer) -> None:
    async def run(store: SharedStore) -> None:
        cache = await shared_cache(store)
        redis_server.stop()
        assert await cache.first([b"1"]) is None
        cache.put(b"1", b"one", 60.0)
        assert not cache.writes
        assert store.problem

    with_stores(redis_server, run)
