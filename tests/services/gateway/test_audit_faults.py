"""The audit stream while Postgres is away, hung or restarting: calls wait or are refused; no row is lost."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx2

if TYPE_CHECKING:
    from conftest import Gateway, Launcher

    from tests.services.conftest import Store

UNAVAILABLE = -32014


def audited(launcher: Launcher, store: Store, alpha: str, **audit: Any) -> Gateway:
    return launcher.gateway(
        {
            "auth": "none",
            "servers": [{"name": "alpha", "urls": [alpha]}],
            "upstream": {"list_seconds": 20},
            "postgres": {**store.settings, "timeout_seconds": 1},
            "audit": {"flush_seconds": 0.02, **audit},
        }
    )


def call(gateway: Gateway, number: int = 0) -> httpx2.Response:
    return gateway.mcp("tools/call", {"name": "alpha__add", "arguments": {"a": number, "b": 0}})


def ids(store: Store) -> list[str]:
    """Of the calls that were carried out, as far as they are written."""
    return [
        row["request_id"] for row in store.rows("SELECT request_id FROM gateway.audit WHERE outcome = 'ok'")
    ]


def assert_refused(answer: httpx2.Response, message: str) -> None:
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["retry-after"]) > 0
    error = answer.json()["error"]
    assert error["code"] == UNAVAILABLE
    assert message in error["message"]


def test_a_postgres_that_is_away_at_the_start_is_found_later(
    launcher: Launcher, own_store: Store, alpha: str
) -> None:
    own_store.migrate().server.stop()
    gateway = audited(launcher, own_store, alpha, buffer_records=3, when_full="refuse")
    carried_out = [call(gateway).headers["x-request-id"] for _ in range(3)]
    assert_refused(call(gateway), "it wasn't made")
    assert gateway.metric("mcp_audit_buffer_records") == 3
    assert gateway.metric("mcp_audit_calls_refused_total") == 1
    gateway.wait_for(lambda: gateway.metric("mcp_audit_flush_failures_total") > 0, "failed attempt")
    health = httpx2.get(f"{gateway.ops_url}/health/ready").json()
    assert health["checks"]["postgres"] != "ok"
    own_store.server.start()
    gateway.wait_for(lambda: call(gateway).status_code == 200, "a call that is let in again")
    gateway.wait_for(lambda: set(carried_out) < set(ids(own_store)), "all rows")
    assert len(ids(own_store)) == len(set(ids(own_store)))
    refused = "SELECT DISTINCT error_type FROM gateway.audit WHERE outcome = 'refused'"
    gateway.wait_for(lambda: own_store.rows(refused), "the refusal's row")  # equal ones gather for a while
    assert own_store.rows(refused) == [{"error_type": "audit_unavailable"}]


def test_a_call_waits_for_room_and_then_gives_up(launcher: Launcher, own_store: Store, alpha: str) -> None:
    gateway = audited(launcher, own_store.migrate(), alpha, buffer_records=2, wait_seconds=1)
    own_store.server.hang()
    for _ in range(2):
        assert call(gateway).status_code == 200
    assert_refused(call(gateway), "it wasn't made")
    own_store.server.resume()
    gateway.wait_for(lambda: call(gateway).status_code == 200, "a call that is let in again")


def test_a_call_that_waits_for_room_is_made_once_there_is_some(
    launcher: Launcher, own_store: Store, alpha: str
) -> None:
    gateway = audited(launcher, own_store.migrate(), alpha, buffer_records=1, wait_seconds=60)
    own_store.server.hang()
    call(gateway)
    with ThreadPoolExecutor(5) as pool:
        waiting = [pool.submit(call, gateway, number) for number in range(5)]
        in_flight = "mcp_gateway_requests_in_flight"
        gateway.wait_for(lambda: gateway.metric(in_flight) == len(waiting), "calls that wait")
        assert not any(answer.done() for answer in waiting)
        own_store.server.resume()
        assert [answer.result().status_code for answer in waiting] == [200] * 5
    gateway.wait_for(lambda: len(ids(own_store)) == 6, "all rows")


def test_what_a_hung_postgres_did_after_all_is_there_once(
    launcher: Launcher, own_store: Store, alpha: str
) -> None:
    gateway = audited(launcher, own_store.migrate(), alpha)
    call(gateway)
    gateway.wait_for(lambda: len(ids(own_store)) == 1, "the first row")
    own_store.server.hang()  # what is sent now is carried out when it wakes up, and sent again besides
    call(gateway)
    gateway.wait_for(lambda: gateway.metric("mcp_audit_flush_failures_total") >= 2, "second attempt")
    own_store.server.resume()
    gateway.wait_for(lambda: gateway.metric("mcp_audit_buffer_records") == 0, "flush")
    assert len(ids(own_store)) == len(set(ids(own_store))) == 2


def test_restarts_lose_and_double_nothing(launcher: Launcher, own_store: Store, alpha: str) -> None:
    gateway = audited(launcher, own_store.migrate(), alpha, wait_seconds=60)
    made: list[str] = []

    def calls(number: int) -> None:
        for _ in range(40):
            answer = call(gateway, number)
            assert answer.status_code == 200, answer.text
            made.append(answer.headers["x-request-id"])

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(calls, number) for number in range(4)]
        for _ in range(3):
            time.sleep(0.2)
            own_store.server.stop()
            own_store.server.start()
        for done in running:
            done.result()
    gateway.wait_for(lambda: gateway.metric("mcp_audit_buffer_records") == 0, "flush")
    assert sorted(ids(own_store)) == sorted(made)


def test_durable_calls_are_refused_before_they_are_made(
    launcher: Launcher, own_store: Store, alpha: str
) -> None:
    gateway = audited(
        launcher, own_store.migrate(), alpha, mode="durable", when_full="refuse", wait_seconds=0.5
    )
    own_store.server.stop()
    # The first call finds out; from then on it is known beforehand.
    assert_refused(call(gateway), "was carried out, but its audit record isn't written yet")
    gateway.wait_for(lambda: gateway.metric("mcp_audit_flush_failures_total") > 0, "failed attempt")
    calls = 'mcp_tool_calls_total{server="alpha",status="ok",tool="add"}'
    before = gateway.metric(calls)
    assert_refused(call(gateway), "it wasn't made")
    assert gateway.metric(calls) == before
    own_store.server.start()
    gateway.wait_for(lambda: call(gateway).status_code == 200, "a call that is let in again")
    assert len(ids(own_store)) >= 2


def test_durable_calls_wait_for_a_restart(launcher: Launcher, own_store: Store, alpha: str) -> None:
    gateway = audited(launcher, own_store.migrate(), alpha, mode="durable", wait_seconds=60)
    assert call(gateway).status_code == 200
    own_store.server.stop()
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(call, gateway, number) for number in range(3)]
        own_store.server.start()
        answers = [answer.result() for answer in waiting]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert {answer.headers["x-request-id"] for answer in answers} < set(ids(own_store))


def test_what_can_not_be_written_at_the_end_is_printed(
    launcher: Launcher, own_store: Store, alpha: str
) -> None:
    gateway = audited(launcher, own_store.migrate(), alpha, shutdown_seconds=0.5)
    own_store.server.hang()
    made = [call(gateway, number).headers["x-request-id"] for number in range(4)]
    assert gateway.process.stop() == 0
    own_store.server.resume()
    printed = [line for line in gateway.process.lines() if line["event"] == "audit record not written"]
    assert [line["request_id"] for line in printed] == made
    assert {(line["target"], line["outcome"], len(line["arguments_sha256"])) for line in printed} == {
        ("add", "ok", 64)
    }
    (error,) = (line for line in gateway.process.lines() if "went to standard error" in line["event"])
    assert (error["level"], error["count"]) == ("error", 4)
