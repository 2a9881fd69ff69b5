"""Overload: what the process can't keep up with is refused, and nothing else is."""

import asyncio
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from services.gateway.config import Overload
from services.gateway.traffic.shedding import SMOOTHING, Shedder
from services.kit.asgi import Event, Receive, Scope, Send, respond

SETTINGS = Overload(max_lag_seconds=0.02, in_flight=3)


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


def late(shedder: Shedder) -> None:
    for _ in range(10):
        shedder.observe(0.05)


def test_any_number_of_requests_is_let_in_while_the_loop_keeps_up(shedder: Shedder) -> None:
    assert statuses(shedder, 50) == [200] * 50


def test_a_late_loop_lets_in_only_so_many_at_once(shedder: Shedder, registry: CollectorRegistry) -> None:
    late(shedder)
    assert statuses(shedder, 5) == [200, 200, 200, 503, 503]
    assert registry.get_sample_value("mcp_gateway_shed_total") == 2
    assert statuses(shedder, 3) == [200] * 3  # those before are answered


def test_a_refusal_says_when_to_come_back(shedder: Shedder) -> None:
    late(shedder)
    start, body = answers(shedder, 4)[3]
    headers: dict[bytes, bytes] = dict(start["headers"])
    content: Any = msgspec.json.decode(body["body"])
    assert headers[b"retry-after"] == b"1"
    assert int(headers[b"content-length"]) == len(body["body"])
    assert content["error"]["data"] == {"scope": "overload", "retryAfterMs": 1000}


def test_one_long_pause_refuses_nobody(shedder: Shedder) -> None:
    shedder.observe(SETTINGS.max_lag_seconds / SMOOTHING)
    assert statuses(shedder, 10) == [200] * 10


def test_a_loop_that_is_on_time_again_lets_everything_in(shedder: Shedder) -> None:
    late(shedder)
    for _ in range(10):
        shedder.observe(0)
    assert statuses(shedder, 10) == [200] * 10


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
