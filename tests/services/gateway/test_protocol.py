"""The wire: what is refused, with which code and status, and what the two generations look like."""

from __future__ import annotations

import base64
import json
import socket
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

if TYPE_CHECKING:
    from conftest import Gateway

DEEP = b'{"jsonrpc": "2.0", "id": 1, "method": "x", "params": {"a": ' + b"[" * 100_000
ADD = {"name": "alpha__add", "arguments": {"a": 1, "b": 2}}


def error(response: httpx2.Response, status: int, code: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    found = response.json()["error"]
    assert found["code"] == code, found
    return found


def post(gateway: Gateway, content: bytes | str, **headers: str) -> httpx2.Response:
    headers = {"Content-Type": "application/json", "MCP-Protocol-Version": "2026-07-28", **headers}
    return httpx2.post(f"{gateway.url}/mcp", content=content, headers=headers)


def test_discover(gateway: Gateway) -> None:
    result = gateway.mcp("server/discover").json()["result"]
    assert result["supportedVersions"] == ["2026-07-28"]
    assert set(result["capabilities"]) == {"tools", "resources", "prompts", "completions"}
    assert result["resultType"] == "complete"
    assert result["cacheScope"] == "public"
    assert result["ttlMs"] > 0
    assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "mcp-gateway"


@pytest.mark.parametrize(
    "method", ["tools/list", "resources/list", "resources/templates/list", "prompts/list"]
)
def test_lists_say_how_long_they_may_be_kept(gateway: Gateway, method: str) -> None:
    result = gateway.mcp(method).json()["result"]
    assert result["resultType"] == "complete"
    assert 0 <= result["ttlMs"] <= 5000
    assert result["cacheScope"] in {"public", "private"}
    assert "nextCursor" not in result


def test_reads_say_how_long_they_may_be_kept(gateway: Gateway) -> None:
    result = gateway.mcp("resources/read", {"uri": "alpha+note://first"}).json()["result"]
    assert (result["ttlMs"], result["cacheScope"]) == (0, "private")


def test_an_older_client_sees_nothing_of_the_new_protocol(gateway: Gateway) -> None:
    initialized = gateway.legacy("initialize", {"protocolVersion": "2025-06-18"})
    result = initialized.json()["result"]
    assert result["protocolVersion"] == "2025-06-18"
    assert result["serverInfo"]["name"] == "mcp-gateway"
    assert "resultType" not in result
    call = gateway.legacy("tools/call", ADD).json()["result"]
    assert set(call) == {"content", "structuredContent", "isError"}
    assert set(gateway.legacy("tools/list").json()["result"]) == {"tools"}
    assert gateway.legacy("ping").json()["result"] == {}


def test_an_unknown_revision_gets_the_newest_that_begins_with_initialize(gateway: Gateway) -> None:
    result = gateway.legacy("initialize", {"protocolVersion": "1999-01-01"}).json()["result"]
    assert result["protocolVersion"] == "2025-11-25"


def test_an_older_client_needs_no_version_header(gateway: Gateway) -> None:
    body = {"jsonrpc": "2.0", "id": "x", "method": "tools/list"}
    response = httpx2.post(f"{gateway.url}/mcp", json=body)
    assert response.json()["id"] == "x"
    assert response.json()["result"]["tools"]


@pytest.mark.parametrize("version", ["2026-07-28", "2025-11-25"])
def test_notifications_are_accepted(gateway: Gateway, version: str) -> None:
    body = '{"jsonrpc": "2.0", "method": "notifications/initialized"}'
    response = post(gateway, body, **{"MCP-Protocol-Version": version})
    assert (response.status_code, response.content) == (202, b"")


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_only_post(gateway: Gateway, method: str) -> None:
    response = httpx2.request(method, f"{gateway.url}/mcp")
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize("method", ["ping", "initialize", "logging/setLevel", "tasks/get", "nonsense"])
def test_unknown_methods_are_404(gateway: Gateway, method: str) -> None:
    error(gateway.mcp(method), 404, -32601)


def test_an_older_client_gets_errors_with_status_200(gateway: Gateway) -> None:
    error(gateway.legacy("server/discover"), 200, -32601)
    error(gateway.legacy("tools/call", {"name": "nope"}), 200, -32602)


@pytest.mark.parametrize(
    "headers",
    [
        {"Mcp-Method": "tools/list"},
        {"Mcp-Method": None},
        {"Mcp-Name": "alpha__fail"},
        {"Mcp-Name": None},
        {"Mcp-Name": "=?base64?%%%?="},
        {"MCP-Protocol-Version": "2026-09-09"},
        {"MCP-Protocol-Version": None},
    ],
)
def test_headers_must_agree_with_the_body(gateway: Gateway, headers: dict[str, str | None]) -> None:
    error(gateway.mcp("tools/call", ADD, headers=headers), 400, -32020)


def test_duplicate_routing_headers_are_refused(gateway: Gateway) -> None:
    headers = [
        ("Mcp-Method", "tools/list"),
        ("Mcp-Method", "tools/call"),
        ("Content-Type", "application/json"),
    ]
    error(httpx2.post(f"{gateway.url}/mcp", content="{}", headers=headers), 400, -32020)


def test_a_parameter_in_two_headers_is_refused(gateway: Gateway) -> None:
    request = gateway.mcp("tools/call", ADD, headers={"Mcp-Param-Region": "eu"}).request
    headers = [*request.headers.multi_items(), ("mcp-param-region", "us")]
    error(httpx2.post(request.url, content=request.content, headers=headers), 400, -32020)


def test_parameters_in_headers_leave_room_for_ours(gateway: Gateway) -> None:
    headers = {f"Mcp-Param-{number}": "x" * 1000 for number in range(9)}
    error(gateway.mcp("tools/call", ADD, headers=headers), 431, -32012)


@pytest.mark.parametrize(
    ("method", "parameter"), [("tools/call", "name"), ("prompts/get", "name"), ("resources/read", "uri")]
)
def test_names_are_bounded(gateway: Gateway, method: str, parameter: str) -> None:
    for name in ("x" * 4097, "é" * 2049, "x" * 1_000_000):
        assert "longer than" in error(gateway.legacy(method, {parameter: name}), 200, -32602)["message"]
    assert "Unknown" in error(gateway.legacy(method, {parameter: "é" * 2048}), 200, -32602)["message"]


def test_names_in_headers_may_be_encoded(gateway: Gateway) -> None:
    name = "=?base64?" + base64.b64encode(b"alpha__add").decode() + "?="
    assert gateway.mcp("tools/call", ADD, headers={"Mcp-Name": name}).json()["result"]


def test_names_in_headers_may_be_padded(gateway: Gateway) -> None:
    request = gateway.mcp("tools/call", ADD).request
    lines = [f"{name}: {value}" for name, value in request.headers.items() if name != "mcp-name"]
    head = "\r\n".join(["POST /mcp HTTP/1.1", *lines, "mcp-name: \t alpha__add \t ", "", ""])
    address = (request.url.host, request.url.port or 0)
    with socket.create_connection(address) as connection:
        connection.sendall(head.encode() + request.content)
        assert connection.recv(20).startswith(b"HTTP/1.1 200")


def test_an_unknown_version_is_told_the_known_ones(gateway: Gateway) -> None:
    version = "2031-01-01"
    response = gateway.mcp(
        "tools/list",
        headers={"MCP-Protocol-Version": version},
        meta={"io.modelcontextprotocol/protocolVersion": version},
    )
    data = error(response, 400, -32022)["data"]
    assert data == {"supported": ["2026-07-28"], "requested": version}


@pytest.mark.parametrize(
    "meta", ["null", "5", "{}", '{"io.modelcontextprotocol/protocolVersion": "2026-07-28"}']
)
def test_meta_is_required(gateway: Gateway, meta: str) -> None:
    body = '{"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": ' + meta + "}}"
    error(post(gateway, body, **{"Mcp-Method": "tools/list"}), 400, -32602)


@pytest.mark.parametrize("body", [b"", b"{", b"nonsense", b'{"jsonrpc": "\xff"}', DEEP, b"\x00"])
def test_no_json_is_a_parse_error(gateway: Gateway, body: bytes) -> None:
    error(post(gateway, body), 400, -32700)


@pytest.mark.parametrize(
    "body",
    [
        [],
        [{"jsonrpc": "2.0", "id": 1, "method": "ping"}],
        "text",
        {},
        {"jsonrpc": "2.0", "id": 1, "result": {}},
        {"jsonrpc": "1.0", "id": 1, "method": "ping"},
        {"jsonrpc": "2.0", "id": None, "method": "ping"},
        {"jsonrpc": "2.0", "id": 1.5, "method": "ping"},
        {"jsonrpc": "2.0", "id": {}, "method": "ping"},
        {"jsonrpc": "2.0", "id": 1, "method": 4},
        {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []},
    ],
)
def test_json_that_is_no_request_is_invalid(gateway: Gateway, body: Any) -> None:
    error(post(gateway, json.dumps(body)), 400, -32600)


@pytest.mark.parametrize("params", [{}, {"name": 5}, {"name": None}])
def test_a_call_without_a_name(gateway: Gateway, params: dict[str, Any]) -> None:
    error(gateway.legacy("tools/call", params), 200, -32602)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (None, "needs the parameter 'ref'"),
        ("text", "needs the parameter 'ref'"),
        ({"type": "ref/tool", "name": "nowhere__add"}, "Unknown prompt"),
        ({"type": "ref/prompt"}, "needs the parameter 'name'"),
        ({"type": "ref/prompt", "name": "nowhere__greet"}, "Unknown prompt"),
        ({"type": "ref/resource", "uri": "note://first"}, "Unknown resource"),
    ],
)
def test_a_completion_for_nothing(gateway: Gateway, reference: Any, message: str) -> None:
    response = gateway.mcp("completion/complete", {"ref": reference, "argument": {"name": "a", "value": ""}})
    assert message in error(response, 400, -32602)["message"]


def test_a_cursor_that_was_never_given_out(gateway: Gateway) -> None:
    error(gateway.mcp("tools/list", {"cursor": "abc"}), 400, -32602)


def test_bodies_are_bounded(gateway: Gateway) -> None:
    filler = json.dumps({"filler": "x" * (4 * 1024 * 1024)})
    assert post(gateway, filler).status_code == 413
    chunks = (b"x" * 65536 for _ in range(70))
    headers = {"Content-Type": "application/json"}
    assert httpx2.post(f"{gateway.url}/mcp", content=chunks, headers=headers).status_code == 413


def test_content_types(gateway: Gateway) -> None:
    assert post(gateway, "{}", **{"Content-Type": "text/plain"}).status_code == 415
    assert post(gateway, "{}", **{"Content-Encoding": "gzip"}).status_code == 415
    assert post(gateway, "{}", Accept="text/html").status_code == 406


def test_heads_are_bounded(gateway: Gateway) -> None:
    violations = 'mcp_security_violations_total{reason="header_size"}'
    before = gateway.metric(violations)
    response = httpx2.get(f"{gateway.url}/mcp", headers={"X-Filler": "x" * 100_000})
    assert response.status_code == 431
    many = {f"X-{number}": "x" for number in range(101)}
    assert gateway.mcp("tools/list", headers=many).status_code == 431
    assert gateway.metric(violations) == before + 2


def test_foreign_hosts_and_origins_are_refused(gateway: Gateway) -> None:
    assert gateway.mcp("tools/list", headers={"Host": "evil.test"}).status_code == 421
    assert gateway.mcp("tools/list", headers={"Origin": "https://evil.test"}).status_code == 403
    assert gateway.mcp("tools/list", headers={"Origin": "http://localhost:3000"}).status_code == 200
    assert gateway.mcp("tools/list", headers={"Origin": "http://localhost.evil.test"}).status_code == 403


def test_request_ids_are_kept_when_harmless(gateway: Gateway) -> None:
    given = gateway.mcp("tools/list", headers={"X-Request-Id": "abc-1"})
    assert given.headers["x-request-id"] == "abc-1"
    made = gateway.mcp("tools/list", headers={"X-Request-Id": "with space"})
    assert made.headers["x-request-id"] != "with space"
