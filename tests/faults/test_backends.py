"""Servers that fail in every way there is, all at once: those that work are called as if nothing were."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx2

from tests.faults.backend import Backend
from tests.faults.history import History, Outcome
from tests.faults.load import Load, Plan
from tests.services.gateway.conftest import Gateway, Launcher

TIMEOUT = 2.5
OPEN_SECONDS = 1.0
WINDOW_SECONDS = 10.0
MIN_CALLS = 4
WORKERS = 2
BREAKER_SLACK = MIN_CALLS + WORKERS
"""Calls that a failing server gets before its breaker opens: those that it takes, and those under way."""
FAILURES = {
    "slow": {"timeout", "unavailable"},
    "endless-stream": {"timeout", "unavailable"},
    "black-hole": {"timeout", "unavailable"},
    "reset": {"unavailable"},
    "garbage": {"bad_response", "unavailable"},
    "half-a-document": {"unavailable"},
    "half-a-stream": {"unavailable"},
    "storm": {"bad_response", "unavailable"},
    "no-http": {"bad_response", "unavailable"},
}
"""What their callers are told: the failure, and later that the server keeps failing."""
OVERFULL = {
    "huge": {"bad_response"},
    "huge-chunks": {"bad_response"},
    "endless-stream": {"timeout", "unavailable"},
}
"""These answer, so they aren't left alone; one by one, their answers are cut."""
MEBIBYTE = 1024 * 1024


def plan(gateway: Gateway, server: str, pause: float = 0.02) -> Plan:
    return Plan(tool=f"{server}__echo", urls=[gateway.url], headers={}, pause=pause)


def started(launcher: Launcher, servers: dict[str, Backend]) -> Gateway:
    upstream = {
        "timeout_seconds": TIMEOUT,
        "stream_seconds": TIMEOUT,
        "max_response_bytes": MEBIBYTE,
        "breaker": {"min_calls": MIN_CALLS, "open_seconds": OPEN_SECONDS, "window_seconds": WINDOW_SECONDS},
    }
    named = [{"name": name, "urls": [it.url]} for name, it in servers.items()]
    return launcher.gateway({"auth": "none", "servers": named, "upstream": upstream})


def breaker(gateway: Gateway, server: str) -> float:
    return gateway.metric(f'mcp_gateway_breaker_state{{server="{server}"}}')


def resident(gateway: Gateway) -> float:
    return gateway.metric("process_resident_memory_bytes")


def test_failing_servers_leave_the_others_alone(launcher: Launcher, backend: Callable[..., Backend]) -> None:
    bad = {behaviour: backend() for behaviour in (*FAILURES, *OVERFULL)}
    gateway = started(launcher, {"good": backend(), **bad})
    plans = [plan(gateway, "good") for _ in range(4)]
    plans += [plan(gateway, name, 0.1) for name in bad for _ in range(WORKERS)]
    with Load(plans) as load:
        load.wait_for(100, "good__echo")
        for name in bad:
            load.wait_for(2, f"{name}__echo")
        memory = resident(gateway)
        failing = time.monotonic()
        for name, server in bad.items():
            server.behaviour = name
        for name in bad:
            load.wait_for(10, f"{name}__echo", Outcome.FAIL)
        load.wait_for(100, "good__echo")
        for name in FAILURES:
            gateway.wait_for(lambda it=name: breaker(gateway, it), f"pause of {name}")
        assert resident(gateway) < memory + 96 * MEBIBYTE
        mending = time.monotonic()
        for server in bad.values():
            server.behaviour = "ok"
        for name in bad:
            load.wait_for(10, f"{name}__echo")
            gateway.wait_for(lambda it=name: not breaker(gateway, it), f"the end of the pause of {name}")
        mended = time.monotonic()
        load.wait_for(50, "good__echo")
    check_good(load.history.of("good__echo"), failing, mending)
    for name, kinds in (FAILURES | OVERFULL).items():
        its = load.history.of(f"{name}__echo")
        its.check(within=30, allowed={f"fail {kind}" for kind in kinds}, what=name)
        after = its.since(mended)
        assert after.count(Outcome.FAIL) == 0, (name, after.kinds)
        if name in FAILURES:
            asked = [moment for moment in bad[name].calls if failing < moment < mending]
            # As many failures as there were successes within the window, then a probe for each pause.
            outweighed = its.since(failing - WINDOW_SECONDS).before(failing).count(Outcome.OK)
            probes = (mending - failing) / OPEN_SECONDS + 1
            assert len(asked) <= outweighed + BREAKER_SLACK + probes, (name, len(asked), outweighed, probes)


def check_good(history: History, failing: float, mending: float) -> None:
    """Every call worked, and about as quickly as before."""
    history.check(within=30)
    before, during = history.before(failing), history.since(failing).before(mending)
    assert during.median < 20 * before.median + 0.2, (before.median, during.median)


def test_a_list_names_who_fails_and_holds_the_rest(
    launcher: Launcher, backend: Callable[..., Backend]
) -> None:
    gone = backend()
    gateway = started(launcher, {"good": backend(), "gone": gone})
    assert len(gateway.mcp("tools/list").json()["result"]["tools"]) == 2
    gone.close()
    result = gateway.mcp("tools/list").json()["result"]
    assert [tool["name"] for tool in result["tools"]] == ["good__echo"]
    assert list(result["_meta"]["dev.mcp-platform/missingServers"]) == ["gone"]
    assert httpx2.get(f"{gateway.ops_url}/health/ready").status_code == 200
