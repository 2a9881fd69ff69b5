"""How the response cache shares: among calls at once, among replicas, and its memory among entries."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from services.gateway.discovery.introduction import Introductions
from services.gateway.fleet import Fleet
from tests.services.gateway.caching import (
    CAPABILITIES,
    KEPT,
    VERSION,
    Counting,
    by,
    call,
    calls_at_once,
    hits,
    joined,
    kept_in,
    requests,
    wait_until_shared,
)

if TYPE_CHECKING:
    from conftest import Gateway, RedisServer, Tokens

    from tests.services.gateway.caching import Start


def test_one_call_answers_all_that_come_meanwhile(start: Start, counting: Counting) -> None:
    gateway = start(KEPT)
    counting.set(held=True)
    answers, pool = calls_at_once(8, lambda _: call(gateway))
    with pool:
        gateway.wait_for(lambda: requests(gateway) == 8, "all calls at the gateway")
        counting.go()
        assert [it.result() for it in answers] == ["1"] * 8
    assert counting.asked() == [["count", {}]]
    assert (joined(gateway), hits(gateway)) == (7, 0)


def test_the_others_get_their_answer_though_the_first_caller_leaves(start: Start, counting: Counting) -> None:
    gateway = start(KEPT)
    counting.set(held=True)
    with ThreadPoolExecutor(1) as pool:
        others: list[Future[Any]] = []
        leave_early(gateway, counting, lambda: others.append(pool.submit(call, gateway)))
        counting.go()
        assert others[0].result() == "1"
    assert counting.asked() == [["count", {}]]
    assert joined(gateway) == 1
    assert call(gateway) == "1"


def test_the_server_is_let_go_when_nobody_waits_any_more(start: Start, counting: Counting) -> None:
    gateway = start(KEPT)
    counting.set(held=True)
    leave_early(gateway, counting)
    gateway.wait_for(lambda: counting.asked()[-1] == ["cancelled"], "the end of the server's work")
    counting.go()
    assert call(gateway) == "3"


def leave_early(gateway: Gateway, counting: Counting, meanwhile: Callable[[], None] | None = None) -> None:
    """Call, and leave once the server was asked, and a call that `meanwhile` makes waits along."""
    name, meta = "counting__count", {VERSION: "2026-07-28", CAPABILITIES: {}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "_meta": meta}}
    headers = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": name}

    async def main() -> None:
        async with httpx2.AsyncClient(timeout=60) as client:
            first = asyncio.create_task(client.post(f"{gateway.url}/mcp", json=body, headers=headers))
            await asyncio.to_thread(gateway.wait_for, counting.asked, "the first call at the server")
            if meanwhile is not None:
                meanwhile()
                await asyncio.to_thread(gateway.wait_for, lambda: requests(gateway) == 2, "the second call")
            first.cancel()
            await asyncio.wait([first])

    asyncio.run(main())
    gateway.wait_for(lambda: gateway.logged("request", outcome="client_gone"), "leaving")


@pytest.mark.parametrize(("tool", "calls"), [("ask", 3), ("fail", 1), ("error", 1)])
def test_who_waits_along_shares_failures_but_no_questions(
    start: Start, counting: Counting, tool: str, calls: int
) -> None:
    gateway = start(KEPT)
    counting.set(held=True)
    answers, pool = calls_at_once(3, lambda _: gateway.mcp("tools/call", {"name": f"counting__{tool}"}))
    with pool:
        gateway.wait_for(lambda: requests(gateway) == 3, "all calls at the gateway")
        counting.go()
        bodies = [it.result().json() for it in answers]
    assert bodies[0] == bodies[1] == bodies[2]
    assert len(counting.asked()) == calls
    assert gateway.metric("mcp_cache_entries") == 0


def test_who_wants_progress_gets_a_call_of_its_own(start: Start, counting: Counting) -> None:
    gateway = start(KEPT)
    counting.set(held=True)
    answers, pool = calls_at_once(2, lambda index: call(gateway, meta={"progressToken": index}))
    with pool:
        gateway.wait_for(lambda: len(counting.asked()) == 2, "both calls at the server")
        counting.go()
        assert {it.result() for it in answers} == {"1", "2"}
    assert call(gateway, meta={"progressToken": 3}) in {"1", "2"}
    assert len(counting.asked()) == 2


def test_replicas_share_what_they_keep(
    start: Start, counting: Counting, redis_server: RedisServer, tokens: Tokens
) -> None:
    one, two = (start(KEPT, auth=tokens.auth, redis=redis_server.patient_settings) for _ in range(2))
    ada, bob = by(tokens, sub="ada"), by(tokens, sub="bob")
    for gateway in (one, two):
        wait_until_shared(gateway, redis_server, **ada)
    first = call(one, **ada)
    one.wait_for(lambda: in_redis(redis_server, first), "the answer in Redis")
    asked = len(counting.asked())
    assert [call(two, **ada) for _ in range(2)] == [first, first]
    assert (hits(two, level="l2"), hits(two)) == (1, 1)
    assert len(counting.asked()) == asked
    assert call(two, **bob) != first
    with redis_server.client() as client:
        assert all(0 < client.pttl(key) <= 300_000 for key in kept_in(redis_server))


def in_redis(server: RedisServer, text: str) -> bool:
    return any(f'"text": "{text}"'.encode() in value for value in kept_in(server).values())


@pytest.mark.parametrize("fault", ["gone", "hung", "full"])
def test_redis_may_fail(start: Start, redis_server: RedisServer, fault: str) -> None:
    gateway = start(KEPT, redis={**redis_server.settings, "wait_seconds": 0.5})
    wait_until_shared(gateway, redis_server)
    match fault:
        case "gone":
            redis_server.stop()
        case "hung":
            redis_server.hang()
        case _:
            with redis_server.client() as client:
                client.config_set("maxmemory", "1")
    for number in range(3):
        first = call(gateway, arguments={"n": number})
        assert call(gateway, arguments={"n": number}) == first
    if fault == "hung":
        redis_server.resume()
    assert {it["status"] for it in gateway.logged("request", name="count")} == {200}


def test_a_value_in_redis_that_is_none_of_ours_is_replaced(
    start: Start, counting: Counting, redis_server: RedisServer
) -> None:
    one, two = (start(KEPT, redis=redis_server.patient_settings) for _ in range(2))
    for gateway in (one, two):
        wait_until_shared(gateway, redis_server)
    first = call(one)
    one.wait_for(lambda: in_redis(redis_server, first), "the answer in Redis")
    with redis_server.client() as client:
        for key in kept_in(redis_server):
            client.set(key, b"[nonsense", keepttl=True)
    asked = len(counting.asked())
    assert call(two) != first
    assert len(counting.asked()) == asked + 1


def test_memory_is_bounded(start: Start, counting: Counting) -> None:
    most = 1024 * 1024
    gateway = start(KEPT, cache={"memory_bytes": most, "max_entry_bytes": 200_000})
    counting.set(size=100_000)
    numbers = range(30)
    for number in numbers:
        call(gateway, arguments={"n": number})
    assert gateway.metric("mcp_cache_entries") == 10
    assert most - 110_000 < gateway.metric("mcp_cache_bytes") <= most
    assert gateway.metric('mcp_cache_evictions_total{reason="memory"}') == 20
    call(gateway, arguments={"n": 29})
    call(gateway, arguments={"n": 0})
    assert len(counting.asked()) == 31
    counting.set(size=250_000)
    assert call(gateway, "large") != call(gateway, "large")
    assert gateway.metric("mcp_cache_entries") == 10


def test_replicas_that_are_discovered_are_asked_what_they_are(counting: Counting) -> None:
    """In Kubernetes, where nothing else asks them regularly."""
    url = f"{counting.url}/mcp"
    counting.set(version="7")

    async def main() -> None:
        fleet = Fleet(1)
        fleet.replace({"a": [url], "b": ["http://127.0.0.1:9/mcp"]})
        asking = asyncio.create_task(Introductions(fleet).run())
        await settled(fleet, "a")
        assert fleet.servers["a"].release == ("7",)
        assert not fleet.servers["b"].settled
        fleet.replace({"a": [], "b": [url]})
        await settled(fleet, "b")
        assert fleet.servers["b"].release == ("7",)
        asking.cancel()

    asyncio.run(main())


async def settled(fleet: Fleet, server: str) -> None:
    for _ in range(600):
        if fleet.servers[server].settled:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"nothing is known of {server}")
