"""Servers that are slow, broken, gone or odd; callers that leave; replicas that die."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from tests.services.gateway.leaving import STATELESS, Odd, send

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Gateway, Launcher

MISSING = "dev.mcp-platform/missingServers"


def error_of(gateway: Gateway, tool: str) -> dict[str, Any]:
    response = gateway.mcp("tools/call", {"name": f"odd__{tool}", "arguments": {}})
    assert response.status_code == 200, response.text
    return response.json()["error"]


@pytest.mark.parametrize(
    ("tool", "message"),
    [
        ("html", "server 'odd' answered HTTP 502 with text/html"),
        ("garbage", "server 'odd' answered with something that isn't JSON-RPC"),
        ("huge", "server 'odd' answered with more than 1000000 bytes"),
        ("old", "server 'odd' doesn't speak protocol 2026-07-28"),
        ("other_id", "server 'odd' answered HTTP 200 without a JSON-RPC response"),
    ],
)
def test_answers_that_are_none(gateway: Gateway, tool: str, message: str) -> None:
    error = error_of(gateway, tool)
    assert error == {"code": -32603, "message": message, "data": {"type": "bad_response", "server": "odd"}}
    series = 'mcp_tool_errors_total{error_type="bad_response",server="odd",tool="other"}'
    assert gateway.metric(series) > 0


def test_a_stream_that_ends_too_soon(gateway: Gateway) -> None:
    response = gateway.mcp("tools/call", {"name": "odd__broken_stream"})
    *_, last = [line for line in response.text.splitlines() if line.startswith("data: ")]
    assert "the call may have been carried out" in last


def test_a_stream_passes_through(gateway: Gateway) -> None:
    response = gateway.mcp("tools/call", {"name": "odd__stream"}, meta={"progressToken": "p"})
    assert response.headers["content-type"] == "text/event-stream"
    data = [line for line in response.text.splitlines() if line.startswith("data: ")]
    assert len(data) == 3
    assert '"progressToken": "p"' in data[0]
    assert '"id":7' in data[2]
    assert "mcp-gateway" in data[2]


def test_who_takes_no_stream_gets_the_result_alone(gateway: Gateway) -> None:
    response = gateway.mcp("tools/call", {"name": "odd__stream"}, headers={"Accept": "application/json"})
    assert response.headers["content-type"] == "application/json"
    assert response.json()["result"]["content"][0]["text"] == "streamed"


def test_a_server_that_is_silent_times_out(launcher: Launcher, odd: str) -> None:
    servers = [{"name": "odd", "urls": [odd]}]
    gateway = launcher.gateway({"auth": "none", "servers": servers, "upstream": {"timeout_seconds": 0.5}})
    error = error_of(gateway, "hang")
    assert error["message"].startswith("server 'odd' didn't answer within ")
    assert error["code"] == -32001
    assert error["data"] == {"type": "timeout", "server": "odd"}


def test_requests_for_input_reach_those_who_know_them(gateway: Gateway) -> None:
    result = gateway.mcp("tools/call", {"name": "odd__ask"}).json()["result"]
    assert (result["resultType"], result["requestState"]) == ("input_required", "opaque")
    refused = gateway.legacy("tools/call", {"name": "odd__ask"}).json()["error"]
    assert refused["code"] == -32603


def test_retries_with_input_are_passed_on_untouched(gateway: Gateway) -> None:
    params = {"name": "odd__mirror", "inputResponses": {"a": {"action": "accept"}}, "requestState": "opaque"}
    text = gateway.mcp("tools/call", params).json()["result"]["content"][0]["text"]
    assert '"inputResponses": {"a": {"action": "accept"}}, "requestState": "opaque"' in text


def test_a_caller_that_leaves_cancels_the_servers_work(gateway: Gateway, odd: str) -> None:
    def saw(what: str) -> int:
        return httpx2.get(odd.replace("/mcp", "/seen")).json().count(what)

    hanging, before = saw("hang"), saw("cancelled")
    request = gateway.mcp("tools/call", {"name": "odd__mirror"}).request
    body = request.content.replace(b"odd__mirror", b"odd__hang")
    lines = [f"{k}: {v}" for k, v in request.headers.items() if k not in {"content-length", "mcp-name"}]
    head = "\r\n".join(
        ["POST /mcp HTTP/1.1", *lines, "mcp-name: odd__hang", f"content-length: {len(body)}", "", ""]
    )
    with socket.create_connection((request.url.host, request.url.port or 0)) as connection:
        connection.sendall(head.encode() + body)
        gateway.wait_for(lambda: saw("hang") > hanging, "the call at the server")
    gateway.wait_for(lambda: saw("cancelled") > before, "cancellation")

    gateway.wait_for(lambda: gateway.logged(outcome="client_gone"), "line of the access log")


def test_a_hung_server_is_named_and_delays_a_list_no_longer_than_its_deadline(
    launcher: Launcher, alpha: str, odd: str
) -> None:
    servers = [
        {"name": "alpha", "urls": [alpha]},
        {"name": "hung", "urls": [odd.replace("/mcp", "/hanging/mcp")]},
    ]
    gateway = launcher.gateway({"auth": "none", "servers": servers, "upstream": {"list_seconds": 3}})
    result = gateway.mcp("tools/list").json()["result"]  # whose server would hang for ever
    assert "alpha__add" in [tool["name"] for tool in result["tools"]]
    assert result["_meta"][MISSING] == {"hung": "no answer within 3 s"}
    assert (result["ttlMs"], result["cacheScope"]) == (0, "private")
    assert gateway.metric('mcp_gateway_list_servers_missing_total{server="hung"}') == 1
    assert any(line["event"] == "list incomplete" for line in gateway.process.lines())


def test_pages_of_a_server_are_joined(gateway: Gateway) -> None:
    names = [tool["name"] for tool in gateway.mcp("tools/list").json()["result"]["tools"]]
    assert [name for name in names if name.startswith("odd__")] == [
        "odd__ask",
        "odd__hang",
        "odd__link",
        "odd__mirror",
    ]


def test_lists_are_the_same_each_time(gateway: Gateway) -> None:
    assert len({gateway.mcp("tools/list").content for _ in range(3)}) == 1


def test_a_server_without_prompts_is_not_missing(gateway: Gateway) -> None:
    assert MISSING not in gateway.mcp("prompts/list").json()["result"]["_meta"]


def test_a_dead_replica_is_passed_over_at_once_and_found_again(launcher: Launcher) -> None:
    ports = [launcher.program("mcp_server", "pair") for _ in range(2)]
    urls = [f"http://127.0.0.1:{port}/mcp" for port in ports]
    config = {"auth": "none", "servers": [{"name": "pair", "urls": urls}], "upstream": {"probe_seconds": 60}}
    gateway = launcher.gateway(config)
    launcher.processes[0].popen.kill()
    launcher.processes[0].popen.wait()
    for _ in range(10):
        assert "result" in gateway.mcp("tools/call", {"name": "pair__which"}).json()


def test_a_server_with_no_replica_left_is_an_error_and_returns(launcher: Launcher) -> None:
    port = launcher.program("mcp_server", "lone")
    servers = [{"name": "lone", "urls": [f"http://127.0.0.1:{port}/mcp"]}]
    upstream = {"probe_seconds": 0.2}
    gateway = launcher.gateway({"auth": "none", "servers": servers, "upstream": upstream})
    server = launcher.processes[0].popen
    server.kill()
    server.wait()
    error = gateway.mcp("tools/call", {"name": "lone__which"}).json()["error"]
    assert (error["code"], error["data"]["type"]) == (-32603, "unavailable")
    gateway.wait_for(lambda: not gateway.metric('mcp_gateway_endpoints{server="lone"}'), "removal")
    assert gateway.mcp("tools/list").json()["result"]["_meta"][MISSING] == {
        "lone": "server 'lone' has no ready replica"
    }


@pytest.fixture
def breaking() -> Iterator[str]:
    """A server that answers probes, and hangs up on anything else."""
    listener = socket.create_server(("127.0.0.1", 0))
    headers = b"content-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n"
    reply = b"HTTP/1.1 200 OK\r\n" + headers + b"{}"

    def answer() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                data = connection.recv(65536)
                if b"server/discover" in data:
                    connection.sendall(reply)

    thread = threading.Thread(target=answer)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_only_what_is_safe_is_repeated_when_a_connection_breaks(
    launcher: Launcher, breaking: str, alpha: str
) -> None:
    servers = [{"name": "half", "urls": [breaking, alpha]}]
    gateway = launcher.gateway({"auth": "none", "servers": servers, "upstream": {"eject_failures": 100}})
    for _ in range(4):
        read = gateway.mcp("resources/read", {"uri": "half+note://first"}).json()
        assert read["result"]["contents"][0]["uri"] == "half+note://first"
    answers = [gateway.mcp("tools/call", {"name": "half__which"}).json() for _ in range(4)]
    errors = [answer["error"] for answer in answers if "error" in answer]
    assert len(errors) == 2
    assert all("may have been carried out" in error["message"] for error in errors)


def test_one_slow_server_does_not_take_connections_from_others(launcher: Launcher, alpha: str) -> None:
    odd = Odd(launcher)
    servers = [{"name": "alpha", "urls": [alpha]}, {"name": "odd", "urls": [odd.url]}]
    upstream = {"connections_per_server": 1, "timeout_seconds": 200, "queue_seconds": 0.3}
    gateway = launcher.gateway({"auth": "none", "servers": servers, "upstream": upstream})
    with send(gateway, STATELESS, "tools/call", {"name": "odd__hang"}):
        gateway.wait_for(lambda: odd.saw("hang") == 1, "the call that has the connection")
        waiting = gateway.mcp("tools/call", {"name": "odd__mirror"}).json()["error"]
        assert waiting["message"] == "server 'odd' has no free connection"
        call = {"name": "alpha__add", "arguments": {"a": 1, "b": 2}}
        assert "result" in gateway.mcp("tools/call", call).json()


def test_calls_are_measured_by_server_and_tool(gateway: Gateway) -> None:
    call = {"name": "alpha__add", "arguments": {"a": 1, "b": 2}}
    series = 'mcp_tool_calls_total{server="alpha",status="ok",tool="add"}'
    before = gateway.metric(series)
    gateway.mcp("tools/call", call)
    assert gateway.metric(series) == before + 1
    for number in range(3):
        gateway.mcp("tools/call", {"name": f"alpha__invented{number}"})
    text = httpx2.get(f"{gateway.ops_url}/metrics").text
    assert "invented" not in text
    assert gateway.metric("mcp_gateway_servers") == 3
    assert gateway.metric('mcp_gateway_endpoints{server="beta"}') == 2


def test_in_flight_calls_finish_before_the_process_ends(launcher: Launcher, tmp_path: Path) -> None:
    port = launcher.program("job_server", str(tmp_path))
    servers = [{"name": "jobs", "urls": [f"http://127.0.0.1:{port}/mcp"]}]
    gateway = launcher.gateway({"auth": "none", "servers": servers})
    ready = f"{gateway.ops_url}/health/ready"
    call = {"name": "jobs__once", "arguments": {"name": "job"}}
    with ThreadPoolExecutor(1) as pool:
        answering = pool.submit(gateway.mcp, "tools/call", call)
        gateway.wait_for((tmp_path / "job").exists, "the call at the server")
        gateway.process.popen.terminate()
        gateway.wait_for(lambda: httpx2.get(ready).status_code == 503, "draining")
        assert httpx2.get(f"{gateway.ops_url}/health/live").status_code == 200
        (tmp_path / "job.go").touch()
        answer = answering.result()
    assert answer.headers["connection"] == "close"
    assert answer.json()["result"]["content"][0]["text"] == "job is done"
    assert gateway.process.end() == 0


def test_draining_has_an_end(launcher: Launcher) -> None:
    odd = Odd(launcher)
    gateway = launcher.gateway(
        {"auth": "none", "servers": [{"name": "odd", "urls": [odd.url]}], "drain_seconds": 1}
    )
    with ThreadPoolExecutor(1) as pool:
        answering = pool.submit(gateway.mcp, "tools/call", {"name": "odd__hang"})
        gateway.wait_for(lambda: odd.saw("hang") == 1, "the call at the server")
        assert gateway.process.stop() == 0, "though nobody would ever answer"
        answer = answering.result()
    assert answer.status_code == 503
    assert "shutting down" in answer.json()["error"]["message"]
