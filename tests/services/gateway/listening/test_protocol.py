"""`subscriptions/listen`: one stream for the changes of all servers."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from mcp import Client
from mcp.shared.subscriptions import ResourceUpdated, ToolsListChanged

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.services.gateway.conftest import Gateway, Launcher
    from tests.services.gateway.listening.conftest import ChangingServer, Listener

    Changing = Callable[..., ChangingServer]
    Before = Callable[..., Gateway]

SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"
ALL_LISTS = {"toolsListChanged": True, "promptsListChanged": True, "resourcesListChanged": True}
EVERY_LIST = {"tools", "prompts", "resources"}
STREAMS = "mcp_gateway_streams"


def test_a_stream_is_acknowledged_and_stamped(
    alpha: ChangingServer, gateway: Gateway, listening: type[Listener]
) -> None:
    wanted = {"toolsListChanged": True, "promptsListChanged": False}
    with listening(gateway, wanted, id_="mine") as listener:
        assert listener.headers["content-type"] == "text/event-stream"
        assert listener.headers["x-accel-buffering"] == "no"
        assert listener.honored == {"toolsListChanged": True}
        alpha.change("prompts", "resources", "tools", "note://first")
        listener.expect("tools")
        assert {it["params"]["_meta"][SUBSCRIPTION] for it in listener.messages} == {"mine"}
        gateway.wait_for(lambda: listener.comments > 1, "signs of life")
        gateway.wait_for(
            lambda: gateway.metric(STREAMS) == 1, "one stream, those of tests before having ended"
        )
        gateway.wait_for(lambda: gateway.metric("mcp_gateway_upstream_streams") == 2, "one of each server")
    gateway.wait_for(lambda: gateway.metric(STREAMS) == 0, "release")
    assert gateway.metric('mcp_gateway_streams_ended_total{reason="client"}') > 0


def test_it_is_offered_where_it_is_served(
    alpha: ChangingServer, gateway: Gateway, before: Before, listening: type[Listener]
) -> None:
    capabilities = gateway.mcp("server/discover").json()["result"]["capabilities"]
    assert capabilities["resources"] == {"listChanged": True, "subscribe": True}
    assert capabilities["tools"] == capabilities["prompts"] == {"listChanged": True}
    without = before(alpha, subscriptions={"max_streams": 0})
    capabilities = without.mcp("server/discover").json()["result"]["capabilities"]
    assert capabilities["resources"] == capabilities["tools"] == {}
    refused = httpx2.post(f"{without.url}/mcp", **listening.request(ALL_LISTS))
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, -32601)


def test_the_older_generation_has_no_such_method(gateway: Gateway) -> None:
    refused = gateway.legacy("subscriptions/listen", {"notifications": ALL_LISTS}).json()
    assert refused["error"]["code"] == -32601


@pytest.fixture(scope="module")
def small(shared: Launcher, alpha: ChangingServer) -> Gateway:
    """A gateway with little room."""
    limits = {"max_streams": 3, "max_streams_per_principal": 2}
    limits |= {"max_resources": 4, "max_resources_per_server": 4}
    servers = [{"name": "alpha", "urls": [f"{alpha.url}/mcp"]}]
    return shared.gateway({"auth": "none", "servers": servers, "subscriptions": limits})


@pytest.mark.parametrize(
    ("wanted", "status", "code"),
    [
        (None, 400, -32602),
        ({"toolsListChanged": "yes"}, 400, -32602),
        ({"resourceSubscriptions": "alpha+note://first"}, 400, -32602),
        ({"resourceSubscriptions": ["nobody+note://first"]}, 400, -32602),
        ({"resourceSubscriptions": ["note://first"]}, 400, -32602),
        ({"resourceSubscriptions": [f"alpha+note://{number}" for number in range(5)]}, 400, -32602),
    ],
)
def test_what_cant_be_listened_to_is_refused(
    small: Gateway, listening: type[Listener], wanted: Any, status: int, code: int
) -> None:
    refused = httpx2.post(f"{small.url}/mcp", **listening.request(wanted))
    assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)


def test_who_takes_no_stream_is_refused(small: Gateway, listening: type[Listener]) -> None:
    arguments = listening.request(ALL_LISTS)
    arguments["headers"]["Accept"] = "application/json"
    assert httpx2.post(f"{small.url}/mcp", **arguments).status_code == 406


def test_streams_and_resources_are_limited_and_given_back(small: Gateway, listening: type[Listener]) -> None:
    def refusal(wanted: dict[str, Any]) -> tuple[int, Any]:
        refused = httpx2.post(f"{small.url}/mcp", **listening.request(wanted))
        return refused.status_code, refused.headers.get("retry-after")

    def uris(*names: str) -> dict[str, Any]:
        return {"resourceSubscriptions": [f"alpha+note://{name}" for name in names]}

    with listening(small, uris("a", "b", "c")):
        assert refusal(uris("d", "e")) == (503, "1")
        with listening(small, uris("c", "d")):
            assert refusal(ALL_LISTS) == (429, "1")
    small.wait_for(lambda: small.metric(STREAMS) == 0, "release")
    with listening(small, ALL_LISTS), listening(small, ALL_LISTS):
        assert refusal(ALL_LISTS) == (429, "1")


def test_resources_are_told_of_by_the_callers_names(
    alpha: ChangingServer, beta: ChangingServer, gateway: Gateway, listening: type[Listener]
) -> None:
    wanted = {"resourceSubscriptions": ["alpha+note://first", "alpha+file:///docs/"]}
    with listening(gateway, wanted) as listener:
        assert listener.honored == wanted
        beta.change("note://first")
        alpha.change("note://first", "note://second", "tools", "note://first")
        listener.expect("alpha+note://first")


def test_parts_of_a_resource_are_told_of(launcher: Launcher, listening: type[Listener]) -> None:
    """The SDK's server tells only of what was subscribed exactly, so another one has to."""
    port = launcher.program("odd_server")
    servers = [{"name": "odd", "urls": [f"http://127.0.0.1:{port}/mcp"]}]
    gateway = launcher.gateway({"auth": "none", "servers": servers})
    with listening(gateway, {"resourceSubscriptions": ["odd+file:///docs", "odd+file:///x"]}) as listener:
        listener.expect("odd+file:///docs/a/b.txt", "odd+file:///x")


def test_servers_hold_one_stream_for_all_callers(
    changing: Changing, before: Before, listening: type[Listener]
) -> None:
    alpha = changing("alpha")
    gateway = before(alpha)
    assert alpha.streams() == 0
    with (
        listening(gateway, {"toolsListChanged": True}) as lists,
        listening(gateway, {"resourceSubscriptions": ["alpha+note://a", "alpha+note://b"]}) as both,
        listening(gateway, {"resourceSubscriptions": ["alpha+note://b", "alpha+note://c"]}) as others,
    ):
        everything = {
            "toolsListChanged": True,
            "resourceSubscriptions": ["note://a", "note://b", "note://c"],
        }
        gateway.wait_for(lambda: alpha.asked()[-1] == everything, "all that is wanted")
        gateway.wait_for(lambda: alpha.streams() == 1, "a single stream")
        alpha.change("note://a", "note://b", "tools", "prompts")
        lists.expect("tools")
        both.expect("alpha+note://a", "alpha+note://b")
        others.expect("alpha+note://b")
    gateway.wait_for(lambda: alpha.streams() == 0, "the end of the stream")


def test_nothing_is_lost_while_a_stream_takes_over(
    alpha: ChangingServer, gateway: Gateway, listening: type[Listener]
) -> None:
    with listening(gateway, {"resourceSubscriptions": ["alpha+note://0"]}) as first:
        for number in range(1, 20):
            alpha.change("note://0")
            with listening(gateway, {"resourceSubscriptions": [f"alpha+note://{number}"]}) as other:
                alpha.change(f"note://{number}", "note://0")
                other.expect(f"alpha+note://{number}")
            gateway.wait_for(lambda: first.told, "a change")
            time.sleep(0.3)
            first.forget()


def test_a_server_that_tells_nothing_is_asked_once(
    alpha: ChangingServer, changing: Changing, before: Before, listening: type[Listener]
) -> None:
    deaf = changing("deaf", "deaf")
    gateway = before(deaf, alpha)
    wanted = {"toolsListChanged": True, "resourceSubscriptions": ["deaf+note://first", "alpha+note://first"]}
    for _ in range(3):
        with listening(gateway, wanted) as listener:
            assert listener.honored == {
                "toolsListChanged": True,
                "resourceSubscriptions": ["alpha+note://first"],
            }
            alpha.change("tools")
            listener.expect("tools")
    assert len(deaf.asked()) == 1


def test_the_official_client_listens(alpha: ChangingServer, before: Before) -> None:
    gateway = before(alpha, drain_seconds=2)

    async def listen() -> list[Any]:
        events: list[Any] = []
        async with (
            Client(f"{gateway.url}/mcp") as client,
            client.listen(tools_list_changed=True, resource_subscriptions=["alpha+note://first"]) as stream,
        ):
            await asyncio.to_thread(alpha.change, "tools", "note://first")
            async for event in stream:
                events.append(event)
                if len(events) == 2:
                    gateway.process.popen.terminate()
        return events

    events = asyncio.run(listen())
    assert set(events) == {ToolsListChanged(), ResourceUpdated(uri="alpha+note://first")}
    assert gateway.process.popen.wait(30) == 0


def test_changes_of_the_fleet_are_told(
    alpha: ChangingServer, changing: Changing, before: Before, listening: type[Listener]
) -> None:
    gamma = changing("gamma")
    gateway = before(alpha, gamma, upstream={"probe_seconds": 0.2})
    with listening(gateway, ALL_LISTS) as listener:
        gamma.kill()
        gateway.wait_for(lambda: set(listener.told) == EVERY_LIST, "the server's end")
        listener.forget()
        gamma.restart()
        gateway.wait_for(lambda: set(listener.told) == EVERY_LIST, "the server's return")
        gateway.wait_for(lambda: gamma.streams() == 1, "a new stream to it")
        listener.forget()
        gamma.change("tools")
        gateway.wait_for(lambda: listener.told, "its change")


def test_what_was_missed_while_a_server_restarted_is_told(
    changing: Changing, before: Before, listening: type[Listener]
) -> None:
    alpha = changing("alpha")
    # Never found to be away: only its stream tells that something was missed.
    gateway = before(alpha, upstream={"probe_seconds": 3600})
    wanted = {"toolsListChanged": True, "resourceSubscriptions": ["alpha+note://first"]}
    with listening(gateway, wanted) as listener:
        alpha.restart()
        listener.expect("tools", "alpha+note://first")
