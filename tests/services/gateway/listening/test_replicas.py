"""Changes reach the callers of all replicas, each once; with Redis, without it, and while it is away."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from services.gateway.listening.bus import CHANNEL

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.services.gateway.conftest import Gateway, RedisServer
    from tests.services.gateway.listening.conftest import ChangingServer, Listener

    Changing = Callable[..., ChangingServer]
    Before = Callable[..., Gateway]

QUIET_SECONDS = 0.6
"""More than twice as long as changes are held back to be told once."""


def connected(redis_server: RedisServer, count: int) -> None:
    """Wait until so many replicas hear of each other."""
    client = redis_server.client()
    redis_server.wait_for(lambda: client.pubsub_numsub(CHANNEL) == [(CHANNEL.encode(), count)], "replicas")
    client.close()


def expect_once(listener: Listener, *told: str) -> None:
    listener.expect(*told)
    time.sleep(QUIET_SECONDS)
    listener.expect(*told)
    listener.forget()


def test_a_change_that_one_replica_hears_of_reaches_all(
    alpha: ChangingServer,
    alpha_too: ChangingServer,
    before: Before,
    listening: type[Listener],
    redis_server: RedisServer,
) -> None:
    # Each gateway sees another endpoint of the server, as behind a balancer.
    endpoints = [alpha, alpha_too]
    gateways = [before(it, redis=redis_server.settings) for it in endpoints]
    connected(redis_server, 2)
    wanted = {"toolsListChanged": True, "resourceSubscriptions": ["alpha+note://first"]}
    with listening(gateways[0], wanted) as first, listening(gateways[1], wanted) as second:
        for endpoint in endpoints:
            endpoint.change("tools", "note://first", "prompts", "note://other")
            expect_once(first, "tools", "alpha+note://first")
            expect_once(second, "tools", "alpha+note://first")
    heard = 'mcp_gateway_changes_total{source="replica"}'
    assert [gateway.metric(heard) > 0 for gateway in gateways] == [True, True]


def test_a_change_that_all_replicas_hear_of_everywhere_is_told_once(
    alpha: ChangingServer,
    alpha_too: ChangingServer,
    before: Before,
    listening: type[Listener],
    redis_server: RedisServer,
) -> None:
    endpoints = [alpha, alpha_too]
    gateways = [before(*endpoints, redis=redis_server.settings) for _ in range(2)]
    connected(redis_server, 2)
    wanted = {"toolsListChanged": True}
    with listening(gateways[0], wanted) as first, listening(gateways[1], wanted) as second:
        # An endpoint may not have noticed yet that an earlier test's gateways are gone.
        gateways[0].wait_for(lambda: [it.streams() for it in endpoints] == [2, 2], "a stream of each gateway")
        for endpoint in endpoints:
            endpoint.change("tools")
        expect_once(first, "tools")
        expect_once(second, "tools")


def test_who_is_told_gets_what_is_new_from_any_replica(
    changing: Changing, before: Before, listening: type[Listener], redis_server: RedisServer
) -> None:
    server = changing("alpha")
    gateways = [before(server, redis=redis_server.settings) for _ in range(2)]
    connected(redis_server, 2)

    def shown(gateway: Gateway) -> tuple[int, str]:
        tools = gateway.mcp("tools/list").json()["result"]["tools"]
        note = gateway.mcp("resources/read", {"uri": "alpha+note://first"}).json()["result"]
        return len(tools), note["contents"][0]["text"]

    assert [shown(gateway) for gateway in gateways] == [(1, "version 0")] * 2
    hits = 'mcp_cache_hits_total{cache="lists",level="l1",server="alpha"}'
    assert [shown(gateway) for gateway in gateways] == [(1, "version 0")] * 2
    assert gateways[0].metric(hits) > 0, "the list is kept"
    wanted = {"toolsListChanged": True, "resourceSubscriptions": ["alpha+note://first"]}
    with listening(gateways[0], wanted) as listener:  # nobody listens at the other one
        for number in range(1, 4):
            server.change("tools", "note://first")
            expect_once(listener, "tools", "alpha+note://first")
            assert [shown(gateway) for gateway in gateways] == [(1 + number, f"version {2 * number}")] * 2


def test_a_later_change_is_told_again(
    alpha: ChangingServer, gateway: Gateway, listening: type[Listener]
) -> None:
    with listening(gateway, {"toolsListChanged": True}) as listener:
        for _ in range(3):
            alpha.change("tools", "tools")
            expect_once(listener, "tools")


def test_without_redis_each_replica_works_alone(
    alpha: ChangingServer, alpha_too: ChangingServer, before: Before, listening: type[Listener]
) -> None:
    endpoints = [alpha, alpha_too]
    gateways = [before(it) for it in endpoints]
    wanted = {"toolsListChanged": True}
    with listening(gateways[0], wanted) as first, listening(gateways[1], wanted) as second:
        endpoints[0].change("tools")
        expect_once(first, "tools")
        assert second.told == []


@pytest.mark.parametrize("fault", ["restart", "hang"])
def test_replicas_hear_of_each_other_again_once_redis_is_back(
    alpha: ChangingServer,
    alpha_too: ChangingServer,
    before: Before,
    listening: type[Listener],
    redis_server: RedisServer,
    fault: str,
) -> None:
    endpoints = [alpha, alpha_too]
    gateways = [before(it, redis=redis_server.settings) for it in endpoints]
    wanted = {"toolsListChanged": True}

    def redis_is(up: float) -> None:
        for gateway in gateways:
            gateway.wait_for(lambda it=gateway: it.metric("mcp_gateway_redis_up") == up, f"redis {up}")

    with listening(gateways[0], wanted) as first, listening(gateways[1], wanted) as second:
        redis_is(1)
        if fault == "restart":
            redis_server.stop()
        else:
            redis_server.hang()
        redis_is(0)
        endpoints[0].change("tools")
        expect_once(first, "tools")
        assert second.told == []
        assert gateways[0].metric("mcp_gateway_changes_unshared_total") == 1
        if fault == "restart":
            redis_server.start()
        else:
            redis_server.resume()
        redis_is(1)

        def reached() -> bool:
            endpoints[0].change("tools")
            time.sleep(QUIET_SECONDS)
            return bool(second.told)

        gateways[1].wait_for(reached, "the other replica's change")
