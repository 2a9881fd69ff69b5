"""Changes reach the callers of all replicas, each once; with Redis, without it, and while it is away."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from services.gateway.listening.bus import CHANNEL
from tests.services.gateway.conftest import PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.services.gateway.conftest import Gateway, RedisServer
    from tests.services.gateway.listening.conftest import ChangingServer, Listener

    Changing = Callable[..., ChangingServer]
    Before = Callable[..., Gateway]

HESITANT = (str(PROGRAMS / "hesitant_gateway.py"),)
MARKER, MARKED = "note://marker", "alpha+note://marker"
TOOLS = {"toolsListChanged": True, "resourceSubscriptions": [MARKED]}
TOOLS_AND_NOTE = {"toolsListChanged": True, "resourceSubscriptions": [MARKED, "alpha+note://first"]}


def connected(redis_server: RedisServer, count: int) -> None:
    """Wait until so many replicas hear of each other."""
    client = redis_server.client()
    redis_server.wait_for(lambda: client.pubsub_numsub(CHANNEL) == [(CHANNEL.encode(), count)], "replicas")
    client.close()


def expect_once(source: ChangingServer, listeners: list[Listener], *told: str) -> None:
    """Wait until all were told this, and then of a later change; and find that nothing was told twice."""
    for listener in listeners:
        listener.hear(*told)
    source.change(MARKER)
    for listener in listeners:
        listener.expect(*told, MARKED)
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
    gateways = [before(it, redis=redis_server.patient_settings) for it in endpoints]
    connected(redis_server, 2)
    wanted = TOOLS_AND_NOTE
    with listening(gateways[0], wanted) as first, listening(gateways[1], wanted) as second:
        for endpoint in endpoints:
            endpoint.change("tools", "note://first", "prompts", "note://other")
            expect_once(endpoint, [first, second], "tools", "alpha+note://first")
    assert [heard(gateway, "replica") > 0 for gateway in gateways] == [True, True]


def heard(gateway: Gateway, source: str) -> float:
    return gateway.metric(f'mcp_gateway_changes_total{{source="{source}"}}')


def test_a_change_that_all_replicas_hear_of_everywhere_is_told_once(
    alpha: ChangingServer,
    alpha_too: ChangingServer,
    before: Before,
    listening: type[Listener],
    redis_server: RedisServer,
) -> None:
    endpoints = [alpha, alpha_too]
    redis = redis_server.patient_settings
    gateways = [before(*endpoints, redis=redis, program=HESITANT) for _ in range(2)]
    connected(redis_server, 2)
    with listening(gateways[0], TOOLS) as first, listening(gateways[1], TOOLS) as second:
        gateways[0].wait_for(lambda: [it.streams() for it in endpoints] == [2, 2], "all four streams")
        for endpoint in endpoints:
            endpoint.change("tools", "tools")
        for gateway, source in itertools.product(gateways, ("here", "replica")):
            gateway.wait_for(lambda it=gateway, of=source: heard(it, of) == 4, f"the changes from {source}")
        expect_once(endpoints[0], [first, second], "tools")


def test_who_is_told_gets_what_is_new_from_any_replica(
    changing: Changing, before: Before, listening: type[Listener], redis_server: RedisServer
) -> None:
    server = changing("alpha")
    # Lists that are kept for long: only what is told of changes has them asked for again.
    lists = {"max_ttl_ms": 3_600_000}
    gateways = [before(server, redis=redis_server.patient_settings, lists=lists) for _ in range(2)]
    connected(redis_server, 2)

    def shown(gateway: Gateway) -> tuple[int, str]:
        tools = gateway.mcp("tools/list").json()["result"]["tools"]
        note = gateway.mcp("resources/read", {"uri": "alpha+note://first"}).json()["result"]
        return len(tools), note["contents"][0]["text"]

    def kept(gateway: Gateway) -> bool:
        assert shown(gateway) == (1, "version 0")
        return all(
            gateway.metric(f'mcp_cache_hits_total{{cache="{cache}",level="l1",server="alpha"}}')
            for cache in ("lists", "reads")
        )

    for gateway in gateways:
        gateway.wait_for(lambda it=gateway: kept(it), "a list and a note that are kept")
    with listening(gateways[0], TOOLS_AND_NOTE) as listener:  # nobody listens at the other one
        for number in range(3):
            server.change("tools", "note://first")
            listener.hear("tools", "alpha+note://first")
            new = (2 + number, f"version {2 + 3 * number}")
            assert shown(gateways[0]) == new
            # It has heard a little later, or, on a busy machine, after who was told here asks there.
            gateways[1].wait_for(lambda it=new: shown(gateways[1]) == it, "what is new at the other replica")
            expect_once(server, [listener], "tools", "alpha+note://first")


def test_a_later_change_is_told_again(
    alpha: ChangingServer, gateway: Gateway, listening: type[Listener]
) -> None:
    with listening(gateway, TOOLS) as listener:
        for _ in range(3):
            alpha.change("tools")
            expect_once(alpha, [listener], "tools")


def test_without_redis_each_replica_works_alone(
    alpha: ChangingServer, alpha_too: ChangingServer, before: Before, listening: type[Listener]
) -> None:
    endpoints = [alpha, alpha_too]
    gateways = [before(it) for it in endpoints]
    with listening(gateways[0], TOOLS) as first, listening(gateways[1], TOOLS) as second:
        endpoints[0].change("tools")
        expect_once(endpoints[0], [first], "tools")
        expect_once(endpoints[1], [second])


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

    def redis_is(up: float) -> None:
        for gateway in gateways:
            gateway.wait_for(lambda it=gateway: it.metric("mcp_gateway_redis_up") == up, f"redis {up}")

    with listening(gateways[0], TOOLS) as first, listening(gateways[1], TOOLS) as second:
        redis_is(1)
        if fault == "restart":
            redis_server.stop()
        else:
            redis_server.hang()
        redis_is(0)
        endpoints[0].change("tools")
        expect_once(endpoints[0], [first], "tools")
        expect_once(endpoints[1], [second])
        unshared = "mcp_gateway_changes_unshared_total"
        gateways[0].wait_for(lambda: gateways[0].metric(unshared) == 2, "count of what wasn't shared")
        if fault == "restart":
            redis_server.start()
        else:
            redis_server.resume()
        redis_is(1)

        def reached() -> bool:
            endpoints[0].change("tools")
            return "tools" in second.told

        gateways[1].wait_for(reached, "the other replica's change")
