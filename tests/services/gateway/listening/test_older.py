"""Callers of 2025-11-25 hear of changes on the stream of a GET, and of the resources they subscribed to."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Self

import httpx2
import pytest
from mcp import Client
from mcp.types import ResourceUpdatedNotification

from services.gateway.listening import sessions
from services.gateway.listening.sessions import CHANNEL, Sessions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.services.gateway.conftest import Gateway, RedisServer, Tokens
    from tests.services.gateway.listening.conftest import ChangingServer, Listener

    Before = Callable[..., Gateway]
    Changing = Callable[..., ChangingServer]
    Connect = Callable[..., "Older"]

GREETING = {"protocolVersion": "2025-11-25", "capabilities": {}}
FIRST, SECOND = "alpha+note://first", "alpha+note://second"
UNAVAILABLE = -32014


class Older:
    """A client that began with `initialize`, and its stream while the block lasts; at any replica."""

    def __init__(
        self, listening: type[Listener], gateway: Gateway, *, token: str | None = None, session: str = ""
    ) -> None:
        self._authorized = {"Authorization": f"Bearer {token}"} if token else {}
        self.session = session or str(
            gateway.legacy("initialize", GREETING, **self._authorized).headers["mcp-session-id"]
        )
        self._stream = _stream_of(listening)(gateway, self.headers)

    @property
    def headers(self) -> dict[str, str]:
        return {"Mcp-Session-Id": self.session, **self._authorized}

    def ask(self, gateway: Gateway, method: str, uri: str) -> dict[str, Any]:
        return gateway.legacy(f"resources/{method}", {"uri": uri}, **self.headers).json()

    def subscribe(self, gateway: Gateway, *uris: str) -> None:
        for uri in uris:
            answer = self.ask(gateway, "subscribe", uri)
            assert answer.get("result") == {}, answer

    def __enter__(self) -> Listener:
        return self._stream.__enter__()

    def __exit__(self, *_: object) -> None:
        self._stream.__exit__(None, None, None)


def _stream_of(listening: type[Listener]) -> Callable[[Gateway, dict[str, str]], Listener]:
    class Stream(listening):
        """Of a GET: nothing is acknowledged, its first sign of life says that it has begun."""

        def __init__(self, gateway: Gateway, headers: dict[str, str]) -> None:
            super().__init__(gateway, {})
            self._method = "GET"
            accepted = {"Accept": "text/event-stream", "MCP-Protocol-Version": "2025-11-25"}
            self._request = {"headers": {**accepted, **headers}}

        def __enter__(self) -> Self:
            self._thread.start()
            self._wait_for(lambda: self.comments or self.finished.is_set(), "the stream's beginning")
            if self.finished.is_set():
                self.client.close()
            assert not self.finished.is_set()
            return self

        @property
        def told(self) -> list[str]:
            return [self.short(message) for message in self.messages]

        def forget(self) -> None:
            self.messages.clear()

    return Stream


@pytest.fixture
def connect(listening: type[Listener]) -> Connect:
    def client(gateway: Gateway, **options: Any) -> Older:
        return Older(listening, gateway, **options)

    return client


def test_a_session_hears_of_lists_and_of_what_it_subscribed_to(
    alpha: ChangingServer, gateway: Gateway, connect: Connect
) -> None:
    offered = gateway.legacy("initialize", GREETING).json()["result"]["capabilities"]
    assert offered["resources"] == {"listChanged": True, "subscribe": True}
    client = connect(gateway)
    client.subscribe(gateway, FIRST)
    with client as stream:
        assert stream.headers["content-type"] == "text/event-stream"
        client.subscribe(gateway, SECOND)
        alpha.change("note://first", "note://second", "note://third", "tools")
        stream.expect(FIRST, SECOND, "tools")
        # The older generation knows no ids of subscriptions.
        assert not any("_meta" in message.get("params", {}) for message in stream.messages)
        stream.forget()
        assert client.ask(gateway, "unsubscribe", FIRST)["result"] == {}
        alpha.change("note://first", "note://second")
        stream.expect(SECOND)
    gateway.wait_for(lambda: gateway.metric("mcp_gateway_streams") == 0, "release")


@pytest.mark.filterwarnings("ignore:resources/subscribe is removed")  # of the newer generation
def test_the_official_client_hears_of_its_resource(alpha: ChangingServer, gateway: Gateway) -> None:
    heard: list[str] = []

    async def note(message: Any) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            heard.append(str(message.params.uri))

    async def listen() -> None:
        async with Client(f"{gateway.url}/mcp", mode="legacy", message_handler=note) as client:
            await client.session.subscribe_resource(FIRST)  # pyright: ignore[reportDeprecated] - it is older
            while not heard:  # its stream may not be open yet
                await asyncio.to_thread(alpha.change, "note://first")
                await asyncio.sleep(0.5)

    asyncio.run(asyncio.wait_for(listen(), 60))
    assert set(heard) == {FIRST}


def test_any_replica_takes_subscriptions_for_any_stream(
    alpha: ChangingServer, before: Before, connect: Connect, redis_server: RedisServer
) -> None:
    gateways = [before(alpha, redis=redis_server.patient_settings) for _ in range(2)]
    redis = redis_server.client()
    redis_server.wait_for(lambda: redis.pubsub_numsub(CHANNEL) == [(CHANNEL.encode(), 2)], "replicas")
    client = connect(gateways[0])
    client.subscribe(gateways[1], FIRST)
    with client as stream:
        alpha.change("note://first")
        stream.expect(FIRST)
        stream.forget()
        client.subscribe(gateways[1], SECOND)
        stream.expect(SECOND)  # it may have changed until this replica began to listen
        stream.forget()
        alpha.change("note://second")
        stream.expect(SECOND)
        stream.forget()
        client.ask(gateways[1], "unsubscribe", SECOND)
        keys = list(redis.scan_iter("mcp-gateway:session:*"))
        assert [redis.scard(key) for key in keys] == [1]

        def only_the_first() -> bool:
            stream.forget()
            alpha.change("note://second", "note://first")
            stream.hear(FIRST)
            return SECOND not in stream.told

        gateways[0].wait_for(only_the_first, "unsubscription that the other replica has heard of")
    assert [0 < redis.ttl(key) <= 3600 for key in keys] == [True]
    redis.close()


def test_without_redis_nothing_is_promised_and_lists_are_still_heard_of(
    alpha: ChangingServer, before: Before, connect: Connect, redis_server: RedisServer
) -> None:
    gateway = before(alpha, redis=redis_server.settings)
    gateway.wait_for(lambda: gateway.metric("mcp_gateway_redis_up") == 1, "redis")
    redis_server.stop()
    gateway.wait_for(lambda: gateway.metric("mcp_gateway_redis_up") == 0, "redis away")
    client = connect(gateway)
    for method in ("subscribe", "unsubscribe"):
        assert client.ask(gateway, method, FIRST)["error"]["code"] == UNAVAILABLE
    with client as stream:
        alpha.change("tools", "note://first")
        stream.expect("tools")


def test_who_knows_a_session_of_somebody_else_hears_nothing_of_it(
    alpha: ChangingServer, before: Before, connect: Connect, tokens: Tokens
) -> None:
    gateway = before(alpha, auth=tokens.auth)
    ada = connect(gateway, token=tokens.make(sub="ada"))
    ada.subscribe(gateway, FIRST)
    eve = connect(gateway, token=tokens.make(sub="eve"), session=ada.session)
    with ada as adas, eve as eves:
        eve.ask(gateway, "unsubscribe", FIRST)
        alpha.change("note://first", "prompts")
        adas.expect(FIRST, "prompts")
        eves.expect("prompts")


def test_a_stream_needs_a_token_and_the_right_to_read(
    alpha: ChangingServer, before: Before, tokens: Tokens
) -> None:
    gateway = before(alpha, auth=tokens.auth)

    def status(**headers: str) -> int:
        accepted = {"Accept": "text/event-stream", "Mcp-Session-Id": "any", **headers}
        return httpx2.get(f"{gateway.url}/mcp", headers=accepted).status_code

    assert status() == 401
    assert status(Authorization=f"Bearer {tokens.make(scope='mcp:call')}") == 403


def test_what_may_not_be_read_cant_be_subscribed_to(
    alpha: ChangingServer, before: Before, connect: Connect, tokens: Tokens, tmp_path: Path
) -> None:
    rule = {"effect": "allow", "groups": ["*"], "servers": ["*"], "resources": ["note://first"]}
    policy = tmp_path / "policy.yaml"
    policy.write_text(json.dumps({"rules": [rule]}))
    gateway = before(alpha, auth=tokens.auth, authorization={"policy_file": str(policy)})
    client = connect(gateway, token=tokens.make())
    refused = client.ask(gateway, "subscribe", SECOND)["error"]
    assert (refused["code"], refused["message"]) == (-32602, f"Unknown resource: {SECOND}")
    client.subscribe(gateway, FIRST)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("nobody+note://first", "Unknown resource"),
        ("note://first", "Unknown resource"),
        ("alpha+note://c", "may subscribe to 2 resources"),
    ],
)
def test_what_cant_be_subscribed_to_is_refused(
    alpha: ChangingServer, before: Before, connect: Connect, uri: str, message: str
) -> None:
    gateway = before(alpha, subscriptions={"max_resources": 2})
    client = connect(gateway)
    client.subscribe(gateway, "alpha+note://a", "alpha+note://b", "alpha+note://a")
    assert message in client.ask(gateway, "subscribe", uri)["error"]["message"]
    without = gateway.legacy("resources/subscribe", {"uri": FIRST}).json()
    assert "Mcp-Session-Id" in without["error"]["message"]


def test_a_server_that_tells_of_nothing_is_no_promise(
    changing: Changing, before: Before, connect: Connect
) -> None:
    gateway = before(changing("alpha", "deaf"))
    client = connect(gateway)
    with client as stream:
        refused = client.ask(gateway, "subscribe", FIRST)["error"]
        assert "doesn't tell of changes" in refused["message"]
        assert stream.told == []


def test_too_many_resources_of_a_server_are_refused_and_forgotten(
    alpha: ChangingServer, before: Before, connect: Connect
) -> None:
    gateway = before(alpha, subscriptions={"max_resources_per_server": 1})
    client = connect(gateway)
    with client as stream:
        client.subscribe(gateway, FIRST)
        assert "too many resources" in client.ask(gateway, "subscribe", SECOND)["error"]["message"]
        alpha.change("note://second", "note://first")
        stream.expect(FIRST)


def test_one_process_keeps_so_many_subscriptions_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_KEPT", 3)
    kept = Sessions(None, 2)

    async def use() -> list[set[str]]:
        for key, uri in (("a", "1"), ("b", "1"), ("b", "2"), ("c", "1")):
            await kept.add(key, uri)
        await kept.remove("b", "1")
        await kept.remove("b", "1")
        await kept.add("d", "1")
        await kept.of("b")
        await kept.add("e", "1")  # of those that are there, c was quiet for longest
        return [set(await kept.of(key)) for key in "abcde"]

    assert asyncio.run(use()) == [set(), {"2"}, set(), {"1"}, {"1"}]


def test_there_is_no_stream_without_a_session_or_where_it_is_switched_off(
    alpha: ChangingServer, gateway: Gateway, before: Before
) -> None:
    accepted = {"Accept": "text/event-stream"}
    assert httpx2.get(f"{gateway.url}/mcp", headers=accepted).status_code == 405
    newer = {**accepted, "Mcp-Session-Id": "x", "MCP-Protocol-Version": "2026-07-28"}
    assert httpx2.get(f"{gateway.url}/mcp", headers=newer).status_code == 405
    without = before(alpha, subscriptions={"max_streams": 0})
    said = without.legacy("initialize", GREETING)
    assert "mcp-session-id" not in said.headers
    assert said.json()["result"]["capabilities"]["resources"] == {}
    assert without.legacy("resources/subscribe", {"uri": FIRST}).json()["error"]["code"] == -32601
    with_session = {**accepted, "Mcp-Session-Id": "x"}
    assert httpx2.get(f"{without.url}/mcp", headers=with_session).status_code == 405
