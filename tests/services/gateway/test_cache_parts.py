"""The parts of the response cache by themselves, with a real Redis where they use one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from services.gateway.authorization import UNRESTRICTED
from services.gateway.authorization.decisions import RuleView
from services.gateway.cache import memory as memory_module
from services.gateway.cache.flights import Flights
from services.gateway.cache.generations import Generations
from services.gateway.cache.keys import MAX_ARGUMENT_BYTES, canonical, owner_of
from services.gateway.cache.memory import Entry, Memory
from services.gateway.cache.rules import HINT, Rule, Rules
from services.gateway.cache.shared import SharedCache
from services.gateway.call import Call, Era
from services.gateway.config import Redis
from services.gateway.config_cache import Cache
from services.gateway.fleet import Fleet
from services.gateway.messages import RawObject, raw
from services.gateway.traffic.shared_store import SharedStore
from services.kit.tokens import Principal

if TYPE_CHECKING:
    from conftest import RedisServer

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(), JSON, max_size=5)


def written(value: Any, **style: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value, **style).encode())


def reversed_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reversed_keys(value[key]) for key in reversed(value)}
    return [reversed_keys(item) for item in value] if isinstance(value, list) else value


def same_types(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON: equal, but 1, 1.0 and true are three."""
    return repr(normal(one)) == repr(normal(other))


def normal(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted((key, normal(item)) for key, item in value.items())
    return [normal(item) for item in value] if isinstance(value, list) else value


@given(OBJECTS)
def test_spelling_makes_no_difference_to_arguments(value: dict[str, Any]) -> None:
    compact = canonical(written(value, separators=(",", ":"), ensure_ascii=False))
    assert compact is not None
    assert same_types(msgspec.json.decode(compact), value)
    assert compact == canonical(written(reversed_keys(value), indent=3, ensure_ascii=True))


@given(OBJECTS, OBJECTS)
def test_other_arguments_are_written_otherwise(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (canonical(written(one)) == canonical(written(other))) == same_types(one, other)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ('{"b": 100, "a": 15E-1, "c": 1e2}', '{"a":1.5,"b":100,"c":100.0}'),
        ('{"a": -0}', '{"a":0}'),
        ('{"a": 1, "a": 2}', '{"a":2}'),
        ('{"\\u0061": "\\u00e9\\/"}', '{"a":"é/"}'),
        ('{"a": 123456789012345678901234567890}', '{"a":123456789012345678901234567890}'),
    ],
)
def test_canonical_spelling(text: str, same: str) -> None:
    assert bytes(canonical(msgspec.Raw(text.encode())) or b"").decode() == same
    assert canonical(msgspec.Raw(same.encode())) == canonical(msgspec.Raw(text.encode()))


@pytest.mark.parametrize("text", ['{"a":1e999}', '{"a":"\\ud800"}', "[" * 5000 + "]" * 5000])
def test_what_has_no_canonical_spelling_is_left_alone(text: str) -> None:
    assert canonical(msgspec.Raw(text.encode())) is None


def test_large_arguments_are_left_alone() -> None:
    assert canonical(written({"a": "x" * MAX_ARGUMENT_BYTES})) is None


def call_by(principal: Principal, groups: frozenset[str] | None = None) -> Call:
    view = UNRESTRICTED if groups is None else RuleView((), principal.scopes, groups)
    return Call(1, "tools/call", {}, {}, Era.STATELESS, principal, view)


def test_whose_an_answer_is_depends_on_all_that_a_token_and_the_policy_say() -> None:
    ada = Principal("ada", "https://i", frozenset({"a", "b"}), 1.0, frozenset({("groups", "x")}))
    others = [
        Principal("bob", "https://i", ada.scopes, 1.0, ada.claims),
        Principal("ada", "https://j", ada.scopes, 1.0, ada.claims),
        Principal("ada", "https://i", frozenset({"a"}), 1.0, ada.claims),
        Principal("ada", "https://i", ada.scopes, 1.0, frozenset({("groups", "y")})),
        Principal("ada", "https://i", ada.scopes, 1.0, frozenset({("roles", "x")})),
        Principal("ada\ud800", "https://i", ada.scopes, 1.0, ada.claims),
    ]
    owners = [owner_of(call_by(it)) for it in (ada, *others)]
    owners += [owner_of(call_by(ada, frozenset({"operators"}))), owner_of(call_by(ada, frozenset({"x"})))]
    assert len(set(owners)) == len(owners)
    renewed = Principal("ada", "https://i", frozenset({"b", "a"}), 99.0, ada.claims)
    assert owner_of(call_by(renewed)) == owners[0]


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(memory_module, "time", self)

    def monotonic(self) -> float:
        return self.now


def memory_of(most: int) -> tuple[Memory, list[tuple[str, int]]]:
    evicted: list[tuple[str, int]] = []
    return Memory(most, lambda reason, number: evicted.append((reason, number))), evicted


def entry(size: int = 10, until: float = 1e12, server: str = "a", kind: str = "tools") -> Entry:
    return Entry("value", server, kind, size, until)


def test_what_was_not_used_for_longest_makes_room() -> None:
    memory, evicted = memory_of(30)
    for key in (b"1", b"2", b"3"):
        memory.put(key, entry())
    assert memory.get(b"1")
    memory.put(b"4", entry(15))
    assert [memory.get(key) is not None for key in (b"1", b"2", b"3", b"4")] == [True, False, False, True]
    assert (memory.bytes, len(memory), evicted) == (25, 2, [("memory", 1)] * 2)
    memory.put(b"1", entry(15))
    assert (memory.bytes, len(memory)) == (30, 2)


def test_what_is_larger_than_the_memory_leaves_the_rest_alone() -> None:
    memory, evicted = memory_of(30)
    memory.put(b"1", entry())
    memory.put(b"2", entry(31))
    assert (memory.bytes, len(memory), evicted) == (10, 1, [])
    memory.put(b"1", entry(31))
    assert (memory.bytes, len(memory)) == (0, 0)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 120)), max_size=200))
def test_memory_never_holds_more_than_it_may(puts: list[tuple[int, int]]) -> None:
    memory, _ = memory_of(100)
    for key, size in puts:
        memory.put(str(key).encode(), entry(size))
        assert memory.bytes <= 100
        assert memory.bytes == sum(it.size for it in memory._entries.values())


def test_what_is_stale_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    memory, evicted = memory_of(100)
    memory.put(b"1", entry(until=105.0))
    clock.now = 104.0
    found = memory.get(b"1")
    assert found is not None
    assert found.seconds_left == pytest.approx(1.0)
    clock.now = 105.0
    assert memory.get(b"1") is None
    assert (memory.bytes, evicted) == (0, [("expired", 1)])


def test_a_purge_takes_what_is_of_a_server_and_a_kind() -> None:
    memory, evicted = memory_of(1000)
    for server in ("a", "b"):
        for kind in ("tools", "lists"):
            memory.put(f"{server}{kind}".encode(), entry(server=server, kind=kind))
    memory.drop("a", "lists")
    assert [memory.get(key) is None for key in (b"atools", b"alists", b"btools", b"blists")] == [
        False,
        True,
        False,
        False,
    ]
    memory.drop("b", None)
    assert len(memory) == 1
    memory.drop(None, None)
    assert (len(memory), memory.bytes) == (0, 0)
    assert evicted == [("purged", 1), ("purged", 2), ("purged", 1)]


class Work:
    """Something that takes until it is told to end."""

    def __init__(self) -> None:
        self.begun = 0
        self.cancelled = 0
        self.began = asyncio.Event()
        self.end = asyncio.Event()
        self.failure: Exception | None = None

    async def __call__(self) -> int:
        self.begun += 1
        self.began.set()
        try:
            await self.end.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.failure:
            raise self.failure
        return self.begun


async def board(flights: Flights[int], work: Work, number: int) -> list[asyncio.Task[tuple[int, bool]]]:
    tasks = [asyncio.create_task(flights.share(b"k", work)) for _ in range(number)]
    await work.began.wait()
    return tasks


def test_one_works_for_all_who_ask_meanwhile() -> None:
    async def main() -> None:
        flights, work = Flights[int](), Work()
        tasks = await board(flights, work, 5)
        other = asyncio.create_task(flights.share(b"other", work))
        await asyncio.sleep(0)
        work.end.set()
        assert await asyncio.gather(*tasks) == [(2, True)] + [(2, False)] * 4
        assert (await other)[1]
        assert (work.begun, len(flights)) == (2, 0)
        assert await flights.share(b"k", work) == (3, True)

    asyncio.run(main())


def test_whoever_began_it_may_leave() -> None:
    async def main() -> None:
        flights, work = Flights[int](), Work()
        first, *rest = await board(flights, work, 3)
        first.cancel()
        await asyncio.wait([first])
        work.end.set()
        assert await asyncio.gather(*rest) == [(1, False)] * 2
        assert (work.begun, work.cancelled) == (1, 0)

    asyncio.run(main())


def test_when_all_have_left_the_work_ends_and_the_next_begins_anew() -> None:
    async def main() -> None:
        flights, work = Flights[int](), Work()
        tasks = await board(flights, work, 3)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        following = asyncio.create_task(flights.share(b"k", work))
        await asyncio.sleep(0)
        work.end.set()
        assert await following == (2, True)
        assert (work.begun, work.cancelled, len(flights)) == (2, 1, 0)

    asyncio.run(main())


def test_a_failure_is_everybodys_who_waited_and_is_not_remembered() -> None:
    async def main() -> None:
        flights, work = Flights[int](), Work()
        tasks = await board(flights, work, 3)
        work.failure = ValueError("no")
        work.end.set()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert outcomes == [work.failure] * 3
        work.failure = None
        assert await flights.share(b"k", work) == (2, True)

    asyncio.run(main())


def with_stores(server: RedisServer, run: Callable[..., Awaitable[None]], number: int = 1) -> None:
    async def main() -> None:
        settings = Redis.model_validate({**server.settings, "wait_seconds": 2})
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
    await asyncio.gather(*cache._writes)


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
        assert not cache._writes
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
        await cache._look()
        cache.put(b"2", b"two", 60.0)
        assert not cache._writes
        assert await cache.first([b"1"])
        with redis_server.client() as client:
            client.config_set("maxmemory-policy", "allkeys-lru")  # it forgets what it has no room for
        await cache._look()
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
        await cache._look()
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
        assert not cache._writes
        assert store.problem

    with_stores(redis_server, run)


def tool(meta: Any) -> RawObject:
    return {"name": raw("t"), "_meta": raw(meta)}


@pytest.mark.parametrize(
    ("meta", "rule"),
    [
        ({HINT: {"ttlSeconds": 7, "scope": "public"}}, Rule(7, public=True)),
        ({HINT: {}}, Rule(300, public=False)),
        ({HINT: {"ttlSeconds": 1e9}}, Rule(500, public=False)),
        ({HINT: {"ttlSeconds": 0}}, None),
        ({HINT: {"ttlSeconds": -5}}, None),
        ({HINT: {"scope": "everybody"}}, None),
        ({HINT: True}, None),
        ({"other": 1}, None),
        (["no object"], None),
    ],
)
def test_what_a_server_says_of_a_tool(meta: Any, rule: Rule | None) -> None:
    assert Rules(Cache(max_ttl_seconds=500)).hint(tool(meta)) == rule


def test_the_first_rule_that_matches_counts() -> None:
    settings = Cache.model_validate(
        {
            "tools": [
                {"match": "weather__now", "ttl_seconds": 0},
                {"match": "weather__*", "scope": "public"},
                {"match": "*", "ttl_seconds": 5},
            ],
            "trusted_servers": ["news-*"],
        }
    )
    rules = Rules(settings)
    assert rules.configured("weather__now") == Rule(0, public=False)
    assert rules.configured("weather__soon") == Rule(300, public=True)
    assert rules.configured("files__read") == Rule(5, public=False)
    assert (rules.trusts("news-daily"), rules.trusts("weather")) == (True, False)
    assert not Rules(settings.model_copy(update={"max_ttl_seconds": 0})).trusts("news-daily")


def test_a_release_is_what_all_replicas_say_they_are() -> None:
    fleet = Fleet(1)
    fleet.replace({"a": ["http://1", "http://2"]})
    server = fleet.servers["a"]
    assert (server.release, server.settled) == ((), False)
    fleet.learn("a", "http://1", "v1")
    assert (server.release, server.settled) == (("v1",), False)
    fleet.learn("a", "http://2", "v1")
    assert (server.release, server.settled) == (("v1",), True)
    fleet.learn("a", "http://2", "")
    assert server.release == ("v1",)
    fleet.learn("a", "http://2", "v2")
    assert server.release == ("v1", "v2")
    fleet.replace({"a": ["http://2", "http://3"]})
    assert (server.release, server.settled) == (("v2",), False)
    fleet.learn("a", "http://3", "")
    assert (server.release, server.settled) == (("http://2", "http://3"), True)
    fleet.learn("gone", "http://3", "v3")
    fleet.learn("a", "http://gone", "v3")
    assert server.release == ("http://2", "http://3")


def test_what_a_release_said_of_its_tools_is_not_believed_of_the_next() -> None:
    fleet = Fleet(1)
    fleet.replace({"a": ["http://1"]})
    server = fleet.servers["a"]
    fleet.learn("a", "http://1", "v1")
    server.cache_rules = {"t": Rule(5, public=True)}
    fleet.learn("a", "http://1", "v2")
    assert server.cache_rules is None
