"""The deadline of a whole request: whatever it waits for, it ends, and so does what servers do for it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from tests.services.gateway.leaving import HANDSHAKE, STATELESS, Odd, ask, send

if TYPE_CHECKING:
    from conftest import Gateway, Launcher, RedisServer

ERAS = pytest.mark.parametrize("era", [STATELESS, HANDSHAKE])
SECONDS = 1.5
MESSAGE = "no answer within 1.5 s; what was asked may have been carried out"


@pytest.fixture
def odd(launcher: Launcher) -> Odd:
    return Odd(launcher)


def before(launcher: Launcher, *urls: str, **config: Any) -> Gateway:
    """A gateway by which everything but the deadline takes its time."""
    servers = [{"name": f"odd{number}", "urls": [url]} for number, url in enumerate(urls)]
    upstream = {"timeout_seconds": SECONDS, "list_seconds": 200, "queue_seconds": 200}
    requests = {"deadline_seconds": SECONDS, "body_seconds": 200}
    upstream |= config.pop("upstream", {})
    return launcher.gateway(
        {"auth": "none", "servers": servers, "upstream": upstream, "requests": requests, **config}
    )


def assert_late(response: httpx2.Response) -> None:
    assert response.status_code == 504, response.text
    error = {"code": -32001, "message": MESSAGE, "data": {"type": "deadline"}}
    assert response.json()["error"] == error


@ERAS
def test_a_call_is_late_and_ends_at_the_server(launcher: Launcher, odd: Odd, era: str) -> None:
    gateway = before(launcher, odd.url, audit={"sink": "log"})
    assert_late(ask(gateway, era, "tools/call", {"name": "odd0__hang"}))
    gateway.wait_for(lambda: odd.saw("cancelled") == 1, "cancellation")
    (line,) = gateway.logged("request")
    assert (line["status"], line["outcome"], line["error"]) == (504, "deadline", {"type": "deadline"})
    gateway.wait_for(lambda: gateway.logged("audit"), "the audit record")
    (record,) = gateway.logged("audit")
    assert (record["outcome"], record["error_type"], record["target"]) == ("error", "deadline", "hang")
    labels = f'era="{era}",method="tools/call",status="504"'
    assert gateway.metric(f"mcp_gateway_requests_total{{{labels}}}") == 1
    assert gateway.metric('mcp_tool_errors_total{error_type="deadline",server="odd0",tool="hang"}') == 1
    assert gateway.metric('mcp_gateway_upstream_in_flight{server="odd0"}') == 0
    assert not gateway.logged(level="error")


def test_a_list_is_late_and_ends_at_every_server(launcher: Launcher, odd: Odd) -> None:
    other = Odd(launcher)
    gateway = before(launcher, odd.hanging_url, other.hanging_url)
    assert_late(ask(gateway, STATELESS, "tools/list", {}))
    for server in (odd, other):
        gateway.wait_for(lambda it=server: it.saw("cancelled") == 1, "cancellation")


def test_what_precedes_a_call_counts(launcher: Launcher, odd: Odd) -> None:
    """Whether its tool is destructive is in a list, which the server doesn't give."""
    gateway = before(launcher, odd.hanging_url)
    assert_late(ask(gateway, STATELESS, "tools/call", {"name": "odd0__mirror"}))
    gateway.wait_for(lambda: odd.saw("cancelled") == 1, "cancellation")


def test_waiting_for_a_connection_counts(launcher: Launcher, odd: Odd) -> None:
    stream = {"connections_per_server": 1, "stream_seconds": 200}
    gateway = before(launcher, odd.url, upstream=stream)
    with send(gateway, STATELESS, "tools/call", {"name": "odd0__endless_stream"}):
        gateway.wait_for(lambda: odd.saw("hang") == 1, "the call that has the connection")
        assert_late(ask(gateway, STATELESS, "tools/call", {"name": "odd0__mirror"}))
    gateway.wait_for(
        lambda: not gateway.metric('mcp_gateway_pool_slots_used{server="odd0"}'), "a free connection"
    )
    assert "result" in ask(gateway, STATELESS, "tools/call", {"name": "odd0__mirror"}).json()


def test_waiting_for_redis_counts(launcher: Launcher, odd: Odd, redis_server: RedisServer) -> None:
    gateway = before(
        launcher,
        odd.url,
        redis={**redis_server.settings, "wait_seconds": 200},
        limits={"principal": {"per_second": 1000, "burst": 1000}},
    )
    gateway.wait_for(lambda: gateway.metric("mcp_gateway_redis_up") == 1, "redis")
    assert "result" in ask(gateway, STATELESS, "tools/call", {"name": "odd0__mirror"}).json()
    redis_server.hang()
    assert_late(ask(gateway, STATELESS, "tools/call", {"name": "odd0__mirror"}))
    redis_server.resume()


def test_the_body_counts(launcher: Launcher, odd: Odd) -> None:
    gateway = before(launcher, odd.url)
    head = b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with socket.create_connection(
        ("127.0.0.1", int(gateway.url.rsplit(":", 1)[1])), timeout=20
    ) as connection:
        connection.sendall(head + b"Content-Length: 100\r\n\r\n{")
        assert connection.recv(100).startswith(b"HTTP/1.1 504 ")


def test_who_takes_no_stream_is_not_spared(launcher: Launcher, odd: Odd) -> None:
    gateway = before(launcher, odd.url)
    params = {"name": "odd0__endless_stream"}
    assert_late(ask(gateway, STATELESS, "tools/call", params, accept="application/json"))
    gateway.wait_for(lambda: odd.saw("cancelled") == 1, "cancellation")


@ERAS
def test_a_stream_that_has_begun_has_a_bound_of_its_own(launcher: Launcher, odd: Odd, era: str) -> None:
    gateway = before(launcher, odd.url, upstream={"stream_seconds": 2 * SECONDS})
    params = {"name": "odd0__endless_stream", "_meta": {"progressToken": "p"}}
    response = ask(gateway, era, "tools/call", params)
    assert response.status_code == 200
    *events, last = [line for line in response.text.splitlines() if line.startswith("data: ")]
    assert events
    assert "'odd0' didn't answer within" in last


def test_a_call_that_waits_for_room_in_the_audit_stream_is_refused(launcher: Launcher, odd: Odd) -> None:
    audit = {"sink": "log", "buffer_records": 1, "wait_seconds": 200, "flush_seconds": 0.02}
    gateway = before(launcher, odd.url, audit=audit, upstream={"stream_seconds": 200})
    with send(gateway, STATELESS, "tools/call", {"name": "odd0__endless_stream"}):
        gateway.wait_for(lambda: odd.saw("hang") == 1, "the call that has the room")
        assert_late(ask(gateway, STATELESS, "tools/call", {"name": "odd0__hang"}))
    gateway.wait_for(lambda: len(gateway.logged("audit")) == 2, "the audit records")
    found = {
        record["target"]: (record["outcome"], record["error_type"]) for record in gateway.logged("audit")
    }
    assert found == {"hang": ("refused", "deadline"), "endless_stream": ("error", "client_gone")}
    assert odd.saw("hang") == 1


def test_pages_have_the_deadline_and_describe_it(launcher: Launcher, odd: Odd) -> None:
    gateway = before(launcher, odd.hanging_url)
    response = httpx2.get(f"{gateway.url}/tools", timeout=30)
    assert (response.status_code, response.headers["content-type"]) == (504, "application/problem+json")
    assert (response.json()["reason"], response.json()["detail"]) == ("deadline", MESSAGE)
    (line,) = gateway.logged("page")
    assert line["outcome"] == "deadline"
    described = httpx2.get(f"{gateway.url}/openapi.json").json()["paths"]
    assert "504" in described["/tools"]["get"]["responses"]
    assert "504" in described["/mcp"]["post"]["responses"]
