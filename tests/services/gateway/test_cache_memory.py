"""What one process keeps, and how it fetches what it lacks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from services.gateway.cache import memory as memory_module
from services.gateway.cache.flights import Flights
from services.gateway.cache.keys import digest
from services.gateway.cache.memory import Entry, Memory
from services.gateway.cache.metrics import Kind
from services.gateway.cache.response_cache import Answer, Keep, Query, ResponseCache
from services.gateway.config_cache import Cache
from services.gateway.fleet import Fleet
from services.gateway.messages import RawObject, decode_object, encode, raw

if TYPE_CHECKING:
    pass


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
        assert memory.bytes == sum(size for _, size in memory.kept().values())


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


class Behind:
    """A cache in front of a server that counts what it is asked."""

    def __init__(self) -> None:
        self.fleet = Fleet(1)
        self.fleet.replace({"a": ["http://1"]})
        self.fleet.learn("a", "http://1", "v1")
        self.server = self.fleet.servers["a"]
        self.cache = ResponseCache(Cache(), None, CollectorRegistry(), "")
        self.asked = 0
        self.meanwhile: Callable[[], None] = lambda: None

    async def answer(self) -> RawObject:
        key = digest(*self.cache.base_of(Kind.TOOLS, self.server), "what")
        found = self.cache.peek(Kind.TOOLS, self.server, key)
        if found is None:
            release, fetch = self.server.release, partial(self.fetch, key)
            query = Query(Kind.TOOLS, self.server, release, [key], key, fetch, decode_object)
            found = await self.cache.obtain(query)
        return found.value

    async def fetch(self, key: bytes) -> Answer[RawObject]:
        self.asked += 1
        self.meanwhile()
        result = {"n": raw(self.asked)}
        return Answer(result, Keep(key, encode(result), 60.0))

    def answers(self, number: int = 2) -> list[bytes]:
        async def main() -> list[bytes]:
            return [bytes((await self.answer())["n"]) for _ in range(number)]

        return asyncio.run(main())


def test_what_is_purged_is_asked_for_anew() -> None:
    behind = Behind()
    assert behind.answers() == [b"1", b"1"]
    asyncio.run(behind.cache.purge("other"))
    asyncio.run(behind.cache.purge("a", Kind.LISTS))
    assert behind.answers() == [b"1", b"1"]
    for server, kind in (("a", None), ("a", Kind.TOOLS), (None, None)):
        before = behind.asked
        asyncio.run(behind.cache.purge(server, kind))
        assert len(behind.cache.memory) == 0
        behind.answers()
        assert behind.asked == before + 1


def test_an_answer_that_a_purge_overtakes_is_not_kept_for_those_who_come_later() -> None:
    behind = Behind()

    async def main() -> None:
        ended = asyncio.Event()

        async def slow(key: bytes) -> Answer[RawObject]:
            await ended.wait()
            return await Behind.fetch(behind, key)

        behind.fetch = slow  # pyright: ignore[reportAttributeAccessIssue] - as slow as the test wants
        first = asyncio.create_task(behind.answer())
        await asyncio.sleep(0)
        await behind.cache.purge("a")
        ended.set()
        assert bytes((await first)["n"]) == b"1"
        assert bytes((await behind.answer())["n"]) == b"2"

    asyncio.run(main())


@pytest.mark.parametrize("change", ["unknown", "other"])
def test_nothing_is_kept_while_it_is_unclear_which_release_answered(change: str) -> None:
    behind = Behind()
    urls = ["http://1", "http://2"] if change == "unknown" else ["http://2"]

    def meanwhile() -> None:
        behind.fleet.replace({"a": urls})
        if change == "other" and behind.asked == 1:
            behind.fleet.learn("a", "http://2", "v2")

    behind.meanwhile = meanwhile
    assert behind.answers(1) == [b"1"]
    assert len(behind.cache.memory) == 0


def test_nothing_is_kept_of_a_server_of_which_nothing_is_known() -> None:
    behind = Behind()
    behind.fleet.replace({"a": ["http://2"]})
    assert behind.answers() == [b"1", b"2"]
    behind.fleet.learn("a", "http://2", "")
    assert behind.answers() == [b"3", b"3"]
