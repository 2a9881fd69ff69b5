"""More requests than can be answered: the excess is refused at once, the rest answered, and it passes."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable

import aiohttp
import pytest

from tests.faults.backend import Backend
from tests.faults.history import Outcome
from tests.faults.load import Load, Plan, call
from tests.services.gateway.conftest import Gateway, Launcher

FACTOR = 3
CONNECTIONS = 400
ALLOWED = {"ok", "fail 503", "fail 429", "fail unavailable"}
"""The last where so many wait for a server's connection that their time is over."""


def started(launcher: Launcher, server: Backend) -> Gateway:
    overload = {"max_lag_seconds": 0.05, "in_flight": 16}
    servers = [{"name": "good", "urls": [server.url]}]
    return launcher.gateway({"auth": "none", "servers": servers, "overload": overload})


def capacity(gateway: Gateway, seconds: float) -> float:
    """Calls a second when a few callers ask as quickly as they are answered."""
    with Load([Plan(tool="good__echo", urls=[gateway.url], headers={}, pause=0) for _ in range(16)]) as load:
        began = load.wait_for(100)
        time.sleep(seconds)
    load.history.check(within=30, allowed=ALLOWED)
    found = load.history.since(began)
    return found.count(Outcome.OK) / (found.entries[-1].ended - began)


async def offer(gateway: Gateway, rate: float, seconds: float) -> Counter[str]:
    """Come at a rate, whatever becomes of those before; as far as there are connections."""
    found: Counter[str] = Counter()
    plan = Plan(tool="good__echo", urls=[gateway.url], headers={})
    timeout = aiohttp.ClientTimeout(total=60)
    free = asyncio.Semaphore(CONNECTIONS)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:

        async def one(number: int) -> None:
            try:
                entry = await call(session, plan, gateway.url, number)
                found[f"{entry.outcome} {entry.detail}".strip()] += 1
            finally:
                free.release()

        began, number = time.monotonic(), 0
        async with asyncio.TaskGroup() as tasks:
            while (now := time.monotonic() - began) < seconds:
                while number < now * rate and not free.locked():
                    await free.acquire()
                    tasks.create_task(one(number))
                    number += 1
                number = max(number, int(now * rate))
                await asyncio.sleep(0.005)
    return found


def overloaded(gateway: Gateway, seconds: float) -> tuple[float, Counter[str]]:
    """The capacity before, and what became of three times as many."""
    peak = capacity(gateway, 1)
    found = asyncio.run(offer(gateway, FACTOR * peak, seconds))
    assert set(found) <= ALLOWED, found
    assert found["ok"] > 0
    gateway.wait_for(lambda: gateway.metric("mcp_gateway_requests_in_flight") == 0, "the end of it all")
    with Load([Plan(tool="good__echo", urls=[gateway.url], headers={}, pause=0.05)]) as load:
        load.wait_for(50)
    assert load.history.count(Outcome.OK) >= 50
    return peak, found


def test_overload_is_refused_and_passes(launcher: Launcher, backend: Callable[..., Backend]) -> None:
    gateway = started(launcher, backend())
    overloaded(gateway, 3)
    assert gateway.process.popen.poll() is None


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_a_minute_of_overload(launcher: Launcher, backend: Callable[..., Backend]) -> None:
    """The figures are the benchmark's (`--overload 3:60`); this finds a collapse."""
    gateway = started(launcher, backend())
    peak, found = overloaded(gateway, 60)
    assert found["ok"] > 0.3 * 60 * peak, (peak, found)
