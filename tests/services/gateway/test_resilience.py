"""Servers that keep failing: what is repeated, who gets a pause, and how both end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from services.gateway.config import Breaker as BreakerSettings
from services.gateway.fleet import Server
from services.gateway.traffic import breaker, retries
from services.gateway.traffic.breaker import Breaker, Permit, State
from services.gateway.traffic.retries import RetryBudget

if TYPE_CHECKING:
    from conftest import Gateway, Launcher


class Clock:
    """Stands in for the `time` module of the breaker."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(breaker, "time", self)

    def monotonic(self) -> float:
        return self.now


def call(subject: Breaker, *, failed: bool | None) -> None:
    permit = subject.admit()
    assert permit is not Permit.REFUSED
    subject.leave(permit, failed=failed)


def opened() -> Breaker:
    subject = Breaker("s", BreakerSettings())
    for _ in range(10):
        call(subject, failed=True)
    assert subject.state is State.OPEN
    return subject


def test_a_breaker_opens_by_the_share_of_failures_and_not_for_a_few() -> None:
    subject = Breaker("s", BreakerSettings(min_calls=10, failure_share=0.5))
    for _ in range(9):
        call(subject, failed=True)
    assert subject.state is State.CLOSED
    for _ in range(10):
        call(subject, failed=False)
    assert subject.state is State.CLOSED
    call(subject, failed=True)
    assert subject.admit() is Permit.REFUSED


def test_failures_are_forgotten_after_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, subject = Clock(monkeypatch), Breaker("s", BreakerSettings(window_seconds=10))
    for _ in range(9):
        call(subject, failed=True)
    clock.now += 21
    call(subject, failed=True)
    assert subject.state is State.CLOSED


def test_a_slow_trickle_of_failures_within_the_window_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, subject = Clock(monkeypatch), Breaker("s", BreakerSettings(window_seconds=10))
    for _ in range(10):
        clock.now += 0.6
        call(subject, failed=True)
    assert subject.state is State.OPEN


def test_one_probe_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, subject = Clock(monkeypatch), opened()
    assert subject.admit() is Permit.REFUSED
    clock.now += 5.1
    assert subject.admit() is Permit.PROBE
    assert subject.state is State.HALF_OPEN
    assert subject.admit() is Permit.REFUSED
    subject.leave(Permit.PROBE, failed=True)
    assert subject.admit() is Permit.REFUSED
    clock.now += 5.1
    assert subject.admit() is Permit.PROBE
    subject.leave(Permit.PROBE, failed=None)  # its caller left: the next one is the probe
    assert subject.admit() is Permit.PROBE
    subject.leave(Permit.PROBE, failed=False)
    assert [subject.admit() for _ in range(2)] == [Permit.NORMAL, Permit.NORMAL]
    call(subject, failed=True)
    assert subject.state is State.CLOSED


def test_calls_from_before_say_nothing_of_an_open_breaker(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, subject = Clock(monkeypatch), opened()
    subject.leave(Permit.NORMAL, failed=False)
    assert subject.state is State.OPEN
    clock.now += 6
    assert subject.admit() is Permit.PROBE
    subject.leave(Permit.NORMAL, failed=True)
    assert subject.state is State.HALF_OPEN


def test_retries_are_a_share_of_requests() -> None:
    budget = RetryBudget()
    assert [budget.spend() for _ in range(11)].count(True) == 10
    for _ in range(50):
        budget.earn()
    assert [budget.spend() for _ in range(20)].count(True) == pytest.approx(10, abs=1)
    assert all(0 <= retries.pause(2) <= 0.05 and 0 <= retries.pause(3) <= 0.1 for _ in range(100))


def test_a_replica_that_keeps_failing_is_the_last_choice_until_it_answers() -> None:
    server = Server("s", 10)
    server.set_endpoints(["http://a", "http://b"])
    bad, good = server.endpoints.values()
    for _ in range(5):
        bad.failed(5, 30)
    assert [server.pick() for _ in range(4)] == [good] * 4
    assert server.pick([good]) is bad
    bad.answered()
    assert {server.pick() for _ in range(2)} == {good, bad}


@pytest.fixture
def flaky(launcher: Launcher) -> str:
    return f"http://127.0.0.1:{launcher.program('flaky_server')}"


def gateway_for(launcher: Launcher, flaky: str, **upstream: Any) -> Gateway:
    servers = [{"name": "flaky", "urls": [f"{flaky}/mcp"]}]
    # Approval would ask for the list of tools before the first call; here it is told when the test says so.
    approval = {"by_annotation": "off"}
    return launcher.gateway({"auth": "none", "servers": servers, "upstream": upstream, "approval": approval})


def plan(flaky: str, *words: str) -> None:
    httpx2.post(f"{flaky}/plan", json=words)


def seen(flaky: str) -> list[str]:
    return httpx2.get(f"{flaky}/seen").json()


def tool(gateway: Gateway, name: str) -> dict[str, Any]:
    return gateway.mcp("tools/call", {"name": f"flaky__{name}"}).json()


@pytest.mark.parametrize("word", ["break", "away"])
def test_only_what_is_safe_is_repeated(launcher: Launcher, flaky: str, word: str) -> None:
    gateway = gateway_for(launcher, flaky)
    plan(flaky, word)
    assert "error" in tool(gateway, "read"), "nobody has told yet that it is read-only"
    gateway.mcp("tools/list")
    for name in ("read", "put"):
        plan(flaky, word, word)
        assert "result" in tool(gateway, name), name
        assert seen(flaky) == [name] * 3
    plan(flaky, word)
    assert "error" in tool(gateway, "add")
    assert seen(flaky) == ["add"]
    plan(flaky, word)
    assert "result" in gateway.mcp("resources/read", {"uri": "flaky+note://x"}).json()
    plan(flaky, word, word, word)
    assert "error" in tool(gateway, "read")
    assert len(seen(flaky)) == 3
    assert gateway.metric('mcp_gateway_upstream_retries_total{server="flaky"}') == 7


STATE = 'mcp_gateway_breaker_state{server="flaky"}'


def test_a_failing_server_gets_a_pause(launcher: Launcher, flaky: str) -> None:
    breaking = {"min_calls": 4, "open_seconds": 600, "window_seconds": 600}
    gateway = gateway_for(launcher, flaky, breaker=breaking)
    plan(flaky, *["break"] * 4)
    messages = [tool(gateway, "add")["error"]["message"] for _ in range(6)]
    assert messages[0] == "server 'flaky' broke the connection; the call may have been carried out"
    assert messages[-1] == "server 'flaky' keeps failing; try again in some seconds"
    assert len(seen(flaky)) == 4
    assert gateway.metric(STATE) == 2
    assert gateway.mcp("tools/list").json()["result"]["tools"] == []


def test_a_server_that_failed_is_tried_again_and_comes_back(launcher: Launcher, flaky: str) -> None:
    breaking = {"min_calls": 4, "open_seconds": 0.5, "window_seconds": 600}
    gateway = gateway_for(launcher, flaky, breaker=breaking)
    plan(flaky, *["break"] * 5)
    for _ in range(4):
        assert "error" in tool(gateway, "add")
    assert gateway.metric(STATE) == 2
    gateway.wait_for(lambda: "error" in tool(gateway, "add") and len(seen(flaky)) == 5, "the probe")
    assert gateway.metric(STATE) == 2, "the probe failed"
    gateway.wait_for(lambda: "result" in tool(gateway, "add"), "recovery")
    assert gateway.metric(STATE) == 0


def test_tools_that_report_errors_open_nothing(launcher: Launcher, alpha: str) -> None:
    servers = [{"name": "alpha", "urls": [alpha]}]
    gateway = launcher.gateway(
        {"auth": "none", "servers": servers, "upstream": {"breaker": {"min_calls": 2}}}
    )
    for name in ("alpha__fail", "alpha__unknown", "alpha__fail", "alpha__fail"):
        gateway.mcp("tools/call", {"name": name})
    assert gateway.metric('mcp_gateway_breaker_state{server="alpha"}') == 0
    assert gateway.mcp("tools/call", {"name": "alpha__add", "arguments": {"a": 1, "b": 2}}).status_code == 200


@pytest.mark.parametrize("word", ["refuse", "fill"])
def test_a_caller_of_odd_requests_closes_no_server_to_others(
    launcher: Launcher, flaky: str, word: str
) -> None:
    settings = {"breaker": {"min_calls": 2}, "eject_failures": 1, "max_response_bytes": 10_000}
    gateway = gateway_for(launcher, flaky, **settings)
    plan(flaky, *[word] * 5)
    assert all("error" in tool(gateway, "add") for _ in range(5))
    assert "result" in tool(gateway, "add")
    assert not any(line["event"] == "endpoint ejected" for line in gateway.process.lines())
