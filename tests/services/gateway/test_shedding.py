"""Overload: what the process can't keep up with is refused, and nothing else is."""

import asyncio
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from services.gateway.config import Overload
from services.gateway.traffic.shedding import SMOOTHING, Shedder
from services.kit.asgi import Event, Receive, Scope, Send, respond
from services.kit.http_protocol import Door

SETTINGS = Overload(max_lag_seconds=0.02, in_flight=20)


async def nothing() -> Event:
    return {"type": "http.request", "body": b"", "more_body": False}


class Requests:
    """Requests that stay in flight until they are let go."""

    def __init__(self, shedder: Shedder) -> None:
        self._app = shedder.around(self._answer)
        self._go = asyncio.Event()
        self.sent: list[list[Event]] = []

    async def _answer(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await self._go.wait()
        await respond(send, 200, b"{}")

    async def run(self, count: int) -> list[list[Event]]:
        """The answers to so many requests at once."""
        tasks = [asyncio.create_task(self._one()) for _ in range(count)]
        await asyncio.sleep(0)
        self._go.set()
        return await asyncio.gather(*tasks)

    async def _one(self) -> list[Event]:
        events: list[Event] = []

        async def send(event: Event) -> None:
            events.append(event)

        await self._app({"type": "http"}, nothing, send)
        return events


def answers(shedder: Shedder, count: int) -> list[list[Event]]:
    async def main() -> list[list[Event]]:
        return await Requests(shedder).run(count)

    return asyncio.run(main())


def statuses(shedder: Shedder, count: int) -> list[int]:
    return [events[0]["status"] for events in answers(shedder, count)]


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def shedder(registry: CollectorRegistry) -> Shedder:
    return Shedder(SETTINGS, registry)


def late(shedder: Shedder, ticks: int = 1) -> None:
    for _ in range(ticks):
        shedder.observe(0.05)


def on_time(shedder: Shedder, ticks: int) -> None:
    for _ in range(ticks):
        shedder.observe(0)


def test_any_number_of_requests_is_let_in_while_the_loop_keeps_up(shedder: Shedder) -> None:
    assert statuses(shedder, 50) == [200] * 50


def test_a_late_loop_lets_in_only_so_many_at_once(shedder: Shedder, registry: CollectorRegistry) -> None:
    late(shedder)
    assert statuses(shedder, 22) == [200] * 20 + [503] * 2
    assert registry.get_sample_value("mcp_gateway_shed_total") == 2
    assert statuses(shedder, 20) == [200] * 20  # those before are answered


def test_the_longer_it_is_late_the_fewer_down_to_a_quarter(shedder: Shedder) -> None:
    late(shedder, 4)
    assert 10 < statuses(shedder, 30).count(200) < 20
    late(shedder, 100)
    assert statuses(shedder, 30) == [200] * 5 + [503] * 25


def test_a_refusal_says_when_to_come_back(shedder: Shedder) -> None:
    late(shedder)
    start, body = answers(shedder, 21)[20]
    headers: dict[bytes, bytes] = dict(start["headers"])
    content: Any = msgspec.json.decode(body["body"])
    assert headers[b"retry-after"] == b"1"
    assert int(headers[b"content-length"]) == len(body["body"])
    assert content["error"]["data"] == {"scope": "overload", "retryAfterMs": 1000}


def test_one_long_pause_refuses_nobody(shedder: Shedder) -> None:
    shedder.observe(SETTINGS.max_lag_seconds / SMOOTHING)
    assert statuses(shedder, 50) == [200] * 50


def test_a_loop_that_is_on_time_again_lets_in_ever_more_and_then_everything(shedder: Shedder) -> None:
    late(shedder, 100)
    on_time(shedder, 15)
    assert 5 < statuses(shedder, 50).count(200) < 50
    on_time(shedder, 100)
    assert statuses(shedder, 500) == [200] * 500


def entering(shedder: Shedder, *targets: bytes) -> list[bytes | None]:
    """What the door says to requests that all come before any of them begins."""

    async def main() -> list[bytes | None]:
        door: Door = shedder.door(b"/mcp")
        said = [door(target) for target in targets]
        await asyncio.sleep(0)
        assert door(targets[0]) is None, "those have begun; each counts by itself from then on"
        return said

    return asyncio.run(main())


def test_the_door_counts_those_who_have_not_begun(shedder: Shedder, registry: CollectorRegistry) -> None:
    late(shedder)
    refusals = [answer for answer in entering(shedder, *[b"/mcp"] * 22) if answer]
    assert len(refusals) == registry.get_sample_value("mcp_gateway_shed_total") == 2
    head, _, body = refusals[0].partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"content-length: %d\r\n" % len(body) in head + b"\r\n"
    assert msgspec.json.decode(body)["error"]["data"]["scope"] == "overload"


def test_the_door_is_that_of_the_endpoint_only(shedder: Shedder) -> None:
    late(shedder, 100)
    assert entering(shedder, *[b"/admin/servers"] * 50) == [None] * 50
    assert entering(shedder, *[b"/mcp?x=1"] * 6)[5]


def test_the_lag_is_measured(shedder: Shedder, registry: CollectorRegistry) -> None:
    async def block() -> float:
        watch = asyncio.create_task(shedder.watch())
        deadline = asyncio.get_running_loop().time() + 30
        lag = 0.0
        while lag < SETTINGS.max_lag_seconds and asyncio.get_running_loop().time() < deadline:
            for _ in range(3_000_000):
                pass
            await asyncio.sleep(0)
            lag = registry.get_sample_value("mcp_gateway_event_loop_lag_seconds") or 0.0
        watch.cancel()
        return lag

    assert asyncio.run(block()) >= SETTINGS.max_lag_seconds
