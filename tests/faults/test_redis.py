"""Redis slow, silent, broken, full or gone: limits are counted as the setting says, and calls go on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.faults.backend import Backend
from tests.faults.history import Outcome
from tests.faults.load import Load, Plan
from tests.faults.proxy import Proxy
from tests.services.gateway.conftest import Gateway, Launcher, RedisServer

PLENTY = {"gateway": {"per_second": 100_000, "burst": 100_000}}
CONNECTIONS = 5


def limited(launcher: Launcher, server: Backend, redis: dict[str, Any], **limits: Any) -> Gateway:
    settings = {**redis, "connections": CONNECTIONS, "timeout_seconds": 1, "wait_seconds": 0.2}
    servers = [{"name": "good", "urls": [server.url]}]
    config = {"auth": "none", "servers": servers, "redis": settings, "limits": {**PLENTY, **limits}}
    return launcher.gateway(config)


def up(gateway: Gateway) -> bool:
    return gateway.metric("mcp_gateway_redis_up") == 1


def plans(gateway: Gateway) -> list[Plan]:
    return [Plan(tool="good__echo", urls=[gateway.url], headers={}, pause=0.02) for _ in range(6)]


@dataclass
class Faults:
    """Each begins with `end=False` and is over with `end=True`."""

    between: Proxy
    server: RedisServer

    def slow(self, *, end: bool) -> None:
        self.between.latency = 0.0 if end else 0.5

    def stalled(self, *, end: bool) -> None:
        self.between.cut("pass" if end else "stall")

    def reset(self, *, end: bool) -> None:
        self.between.cut("pass" if end else "reset")

    def half_closed(self, *, end: bool) -> None:
        self.between.cut("pass" if end else "half-close")

    def cut_short(self, *, end: bool) -> None:
        self.between.limit = None if end else 3
        self.between.cut("close")
        self.between.cut("pass")

    def stopped(self, *, end: bool) -> None:
        if end:
            self.server.resume()
        else:
            self.server.hang()

    def gone(self, *, end: bool) -> None:
        if end:
            self.server.start()
        else:
            self.server.stop()

    def full(self, *, end: bool) -> None:
        with self.server.client() as client:
            client.config_set("maxmemory", "0" if end else "1")

    def all(self) -> list[Callable[..., None]]:
        resets = [self.reset] * 5  # it matters at which moment one comes
        others = [self.slow, self.stalled, self.half_closed, self.cut_short, self.stopped]
        return [*resets, *others, self.gone, self.full]


def test_every_way_in_which_redis_fails(
    launcher: Launcher,
    backend: Callable[..., Backend],
    redis_server: RedisServer,
    proxy: Callable[[int], Proxy],
) -> None:
    between = proxy(redis_server.port)
    gateway = limited(launcher, backend(), {**redis_server.settings, "port": between.port})
    with Load(plans(gateway)) as load:
        gateway.wait_for(lambda: up(gateway), "redis")
        load.wait_for(50)
        began = time.monotonic()
        for fault in Faults(between, redis_server).all():
            fault(end=False)
            gateway.wait_for(lambda: not up(gateway), f"noticing: {fault.__name__}")
            load.wait_for(30)
            fault(end=True)
            gateway.wait_for(lambda: up(gateway), f"redis again: {fault.__name__}")
            load.wait_for(30)
        ended = time.monotonic()
    history = load.history
    history.check(within=30)
    calm, stormy = history.before(began), history.since(began).before(ended)
    # Whoever meets the fault waits for it once, for so long; the others aren't kept waiting.
    assert stormy.median < 20 * calm.median + 0.2, (calm.median, stormy.median)
    gateway.wait_for(lambda: between.open <= CONNECTIONS + 1, "connections that don't pile up")
    assert gateway.metric('mcp_rate_limit_unshared_total{mode="local"}') > 0
    assert not [line for line in gateway.process.lines() if line["level"] == "error"]


@pytest.mark.parametrize(
    ("mode", "expected"), [("local", Outcome.OK), ("open", Outcome.OK), ("closed", Outcome.FAIL)]
)
def test_a_redis_that_is_away_means_what_the_setting_says(
    launcher: Launcher,
    backend: Callable[..., Backend],
    redis_server: RedisServer,
    mode: str,
    expected: Outcome,
) -> None:
    gateway = limited(launcher, backend(), redis_server.settings, without_redis=mode)
    with Load(plans(gateway)) as load:
        gateway.wait_for(lambda: up(gateway), "redis")
        load.wait_for(30)
        redis_server.hang()
        gateway.wait_for(lambda: not up(gateway), "noticing")
        load.wait_for(30, outcome=expected)
        redis_server.resume()
        gateway.wait_for(lambda: up(gateway), "redis again")
        load.wait_for(30)
    load.history.check(within=30, allowed={"fail 503"} if expected is Outcome.FAIL else ())
