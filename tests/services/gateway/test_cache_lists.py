"""Lists and resources are kept as long, and for whom, their servers say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.services.gateway.caching import (
    KEPT,
    Counting,
    by,
    hits,
    kept_in,
    listed,
    names,
    read,
    requests,
    wait_until_shared,
)

if TYPE_CHECKING:
    from conftest import Launcher, RedisServer, Tokens

    from tests.services.gateway.caching import Start


def test_lists_are_kept_as_long_as_their_server_says(start: Start, counting: Counting) -> None:
    gateway = start(lists={"max_ttl_ms": 3_600_000})
    counting.set(ttlMs=60_000, cacheScope="public")
    first = listed(gateway)
    assert 30_000 < first["ttlMs"] <= 60_000
    second = listed(gateway)
    assert second["ttlMs"] < first["ttlMs"]
    assert second["ttlMs"] > 30_000
    assert (second["tools"], second["cacheScope"]) == (first["tools"], "public")
    assert counting.asked() == [["tools/list"]]
    assert (requests(gateway, "lists"), hits(gateway, "lists")) == (2, 1)


def test_a_list_that_is_stale_at_once_is_not_kept(start: Start, counting: Counting) -> None:
    gateway = start()
    assert names(gateway) != names(gateway)
    assert listed(gateway)["ttlMs"] == 0
    assert counting.asked() == [["tools/list"]] * 3


def test_no_list_is_kept_for_longer_than_the_gateway_is_set_to(start: Start, counting: Counting) -> None:
    counting.set(ttlMs=60_000)
    gateway = start(cache={"max_ttl_seconds": 0.3})
    first = listed(gateway)
    assert first["ttlMs"] <= 300
    gateway.wait_for(lambda: listed(gateway)["tools"] != first["tools"], "the server's new list")


def test_nothing_is_kept_as_servers_say_where_that_is_switched_off(start: Start, counting: Counting) -> None:
    counting.set(ttlMs=60_000)
    gateway = start(cache={"max_ttl_seconds": 0}, lists={"max_ttl_ms": 3_600_000})
    assert names(gateway) != names(gateway)
    assert listed(gateway)["ttlMs"] == 60_000
    assert read(gateway)["contents"] != read(gateway)["contents"]
    assert read(gateway)["ttlMs"] == 60_000


@pytest.mark.parametrize(("scope", "times"), [("private", 2), ("public", 1)])
def test_a_private_list_is_for_its_principal_alone(
    start: Start, counting: Counting, tokens: Tokens, scope: str, times: int
) -> None:
    gateway = start(auth=tokens.auth)
    counting.set(ttlMs=60_000, cacheScope=scope)
    lists = [names(gateway, **by(tokens, sub=name)) for name in ("ada", "bob", "ada", "bob")]
    assert lists[:2] == lists[2:]
    assert (lists[0] == lists[1]) == (scope == "public")
    assert counting.asked() == [["tools/list"]] * times


def test_a_list_without_an_answer_is_not_kept(start: Start, counting: Counting) -> None:
    gateway = start()
    counting.set(ttlMs=60_000, broken=True)
    assert listed(gateway)["tools"] == []
    counting.set(broken=False)
    assert len(listed(gateway)["tools"]) == 2


def test_only_the_part_that_is_stale_is_asked_for(launcher: Launcher) -> None:
    servers = [Counting(f"http://127.0.0.1:{launcher.program('counting_server')}") for _ in range(2)]
    config = [{"name": name, "urls": [f"{it.url}/mcp"]} for name, it in zip("ab", servers, strict=True)]
    gateway = launcher.gateway({"auth": "none", "servers": config})
    servers[0].set(ttlMs=60_000)
    for _ in range(3):
        assert len(names(gateway)) == 4
    assert [len(it.asked()) for it in servers] == [1, 3]


def test_replicas_share_lists(start: Start, counting: Counting, redis_server: RedisServer) -> None:
    counting.set(ttlMs=60_000)
    one, two = (start(KEPT, redis=redis_server.patient_settings) for _ in range(2))
    for gateway in (one, two):
        wait_until_shared(gateway, redis_server)
    first = listed(one)
    one.wait_for(lambda: b"inputSchema" in b"".join(kept_in(redis_server).values()), "the list in Redis")
    second = listed(two)
    assert second["tools"] == first["tools"]
    assert hits(two, "lists", "l2") == 1
    assert counting.asked().count(["tools/list"]) == 1


def test_resources_are_kept_as_their_server_says(start: Start, counting: Counting, tokens: Tokens) -> None:
    gateway = start(auth=tokens.auth)
    ada, bob = by(tokens, sub="ada"), by(tokens, sub="bob")
    assert read(gateway, **ada)["contents"] != read(gateway, **ada)["contents"]
    counting.set(ttlMs=60_000)
    first, second, other = (read(gateway, **who) for who in (ada, ada, bob))
    assert first["contents"] == second["contents"] != other["contents"]
    assert 30_000 < second["ttlMs"] < first["ttlMs"] <= 60_000
    assert second["cacheScope"] == "private"
    assert read(gateway, "note://2", **ada)["contents"] != first["contents"]
    counting.set(cacheScope="public")
    shared = read(gateway, "note://3", **ada)
    assert read(gateway, "note://3", **bob)["contents"] == shared["contents"]
    assert (requests(gateway, "reads"), hits(gateway, "reads")) == (8, 2)


def test_a_resource_that_needs_input_is_not_kept(start: Start, counting: Counting) -> None:
    gateway = start()
    counting.set(ttlMs=60_000)
    assert [read(gateway, "note://ask")["resultType"] for _ in range(2)] == ["input_required"] * 2
    params = {"uri": "counting+note://1", "inputResponses": {}}
    for _ in range(2):
        gateway.mcp("resources/read", params)
    assert len(counting.asked()) == 4


def test_a_list_is_charged_for_each_of_its_items(start: Start, counting: Counting) -> None:
    gateway = start()
    counting.set(ttlMs=60_000, more=500)
    names(gateway)
    assert gateway.metric("mcp_cache_entries") == 1
    assert gateway.metric("mcp_cache_bytes") > 502 * 600
