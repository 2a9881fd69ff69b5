"""A server that answers anything at all: callers get a result or a JSON-RPC error, and no fault of ours."""

from __future__ import annotations

import io
import json
import socketserver
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.inprocess import InProcess
from tests.fuzz.strategies import bodies, header_values, values
from tests.fuzz.verdicts import check_mcp

PREFIX = "io.modelcontextprotocol/"
META = {f"{PREFIX}protocolVersion": "2026-07-28", f"{PREFIX}clientCapabilities": {}}
ASKED = {
    "tools/call": {"name": "any__tool", "arguments": {}},
    "prompts/get": {"name": "any__prompt"},
    "resources/read": {"uri": "any+note://one"},
    "completion/complete": {"ref": {"type": "ref/prompt", "name": "any__prompt"}, "argument": {"name": "a"}},
    "tools/list": {},
    "prompts/list": {},
    "resources/list": {},
    "resources/templates/list": {},
}
GOOD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"
)


class AnyServer(socketserver.ThreadingTCPServer):
    """Sends `answer` whatever it is asked; only the question whether it is there gets a proper answer."""

    daemon_threads = True
    allow_reuse_address = True
    answer = b""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), AnyHandler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/mcp"


class AnyHandler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, AnyServer)
        data = b""
        while b"\r\n\r\n" not in data or not data.endswith(b"}"):
            if not (piece := self.request.recv(65536)):
                return  # whoever asked has left
            data += piece
        self.request.sendall(GOOD if b"server/discover" in data else self.server.answer)


@pytest.fixture(scope="module")
def server() -> Iterator[AnyServer]:
    with AnyServer() as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def facing(log: io.StringIO, server: AnyServer) -> Iterator[InProcess]:
    upstream = {
        "breaker": {"min_calls": 1_000_000},
        "eject_failures": 1_000_000,
        "max_attempts": 1,
        "max_response_bytes": 20_000,
        "timeout_seconds": 20,
        "list_seconds": 20,
    }
    servers = [{"name": "any", "urls": [server.url]}]
    config = {"auth": "none", "listen": {"host": "127.0.0.1"}, "servers": servers, "upstream": upstream}
    found = InProcess({**config, "requests": {"input_seconds": 1}}, log)
    yield found
    found.close()


contents = st.dictionaries(
    st.sampled_from(["type", "text", "uri", "resource", "name", "mimeType", "annotations"]),
    st.one_of(st.sampled_from(["resource", "resource_link", "text", "note://x"]), values),
    max_size=4,
)
items = st.one_of(
    st.lists(
        st.dictionaries(
            st.sampled_from(["name", "uri", "uriTemplate", "inputSchema", "annotations", "role", "content"]),
            st.one_of(contents, values),
            max_size=4,
        ),
        max_size=3,
    ),
    st.lists(contents, max_size=3),
    values,
)
results = st.one_of(
    st.dictionaries(
        st.sampled_from(
            [
                *("resultType", "content", "contents", "messages", "tools", "prompts", "resources"),
                *("resourceTemplates", "_meta", "isError", "ttlMs", "cacheScope", "nextCursor"),
                *("inputRequests", "requestState", "completion", "structuredContent", "task"),
            ]
        ),
        st.one_of(items, st.sampled_from(["complete", "input_required", "task", "public", "next", True, 5])),
        max_size=5,
    ),
    values,
)
errors = st.fixed_dictionaries(
    {"code": st.one_of(st.sampled_from([-32020, -32022, -32601, -32603, 0]), values), "message": values},
    optional={"data": values},
)
replies = st.one_of(
    st.fixed_dictionaries({"jsonrpc": st.just("2.0"), "id": st.just(7), "result": results}),
    st.fixed_dictionaries(
        {"jsonrpc": st.just("2.0"), "id": st.sampled_from([7, None, "7"]), "error": errors}
    ),
    st.fixed_dictionaries({"jsonrpc": st.just("2.0"), "method": values, "params": values}),
    values,
)


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """The bytes of an HTTP response that is more or less one."""
    status = draw(
        st.sampled_from([b"200 OK"] * 6 + [b"202 OK", b"204 No", b"302 Go", b"404 No", b"503 No", b"999 ?"])
    )
    texts = draw(st.lists(replies.flatmap(bodies), min_size=1, max_size=3))
    if draw(st.booleans()):
        kind = b"text/event-stream"
        line_end = draw(st.sampled_from([b"\n", b"\r\n", b"\r"]))
        body = b"".join(b"data: %s%s" % (text, line_end * 2) for text in texts)
    else:
        kind = draw(st.one_of(st.just(b"application/json"), header_values))
        body = texts[0]
    length = draw(st.sampled_from([len(body)] * 8 + [len(body) + 5, 3, 30_000]))
    extra = b"".join(
        draw(
            st.lists(
                st.sampled_from([b"location: /\r\n", b"content-encoding: gzip\r\n", b"x\r\n"]), max_size=1
            )
        )
    )
    head = b"HTTP/1.1 %s\r\ncontent-type: %s\r\nconnection: close\r\ncontent-length: %d\r\n%s\r\n"
    whole = head % (status, kind, length, extra) + body
    return draw(st.sampled_from([whole] * 8 + [whole[: len(whole) // 2], body, b""]))


@given(method=st.sampled_from(list(ASKED)), stateless=st.booleans(), streams=st.booleans(), answer=answers())
def test_whatever_a_server_answers(
    facing: InProcess, server: AnyServer, method: str, stateless: bool, streams: bool, answer: bytes
) -> None:
    server.answer = answer
    params: dict[str, Any] = {**ASKED[method]}
    headers = [
        (b"host", b"localhost"),
        (b"content-type", b"application/json"),
        (b"accept", b"application/json, text/event-stream" if streams else b"application/json"),
    ]
    if stateless:
        params["_meta"] = META
        name = str(params.get("name", params.get("uri", "")))
        headers += [(b"mcp-protocol-version", b"2026-07-28"), (b"mcp-method", method.encode())]
        headers += [(b"mcp-name", name.encode())] if name else []
    body = json.dumps({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).encode()
    found = facing.ask("POST", "/mcp", headers, body)
    assert found.status in {200, 400, 404}, found
    check_mcp(found.status, found.headers, found.body, answer)


@pytest.mark.parametrize(
    ("method", "result"),
    [
        ("prompts/get", {"messages": [{"role": "user"}, {"resource": 1}]}),
        ("prompts/get", {"messages": {"resource": 1}}),
        ("prompts/get", {"messages": [{"content": {"type": "resource", "resource": "note://x"}}]}),
        ("tools/call", {"content": [{"type": "resource", "resource": {"uri": {}}}]}),
        ("tools/call", {"content": {"type": "resource_link"}}),
        ("resources/read", {"contents": [{"uri": None}]}),
        ("resources/read", {"contents": {}}),
        ("tools/list", {"tools": [{"name": {}}]}),
        ("tools/list", {"tools": [], "nextCursor": {}, "ttlMs": "soon", "cacheScope": []}),
        ("tools/call", {"resultType": "input_required", "inputRequests": [], "requestState": {}}),
    ],
)
def test_results_of_an_odd_shape(
    facing: InProcess, server: AnyServer, method: str, result: dict[str, Any]
) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 7, "result": result}).encode()
    server.answer = GOOD.replace(b"length: 2\r\n\r\n{}", b"length: %d\r\n\r\n%s" % (len(body), body))
    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    request = {"jsonrpc": "2.0", "id": 7, "method": method, "params": ASKED[method]}
    found = facing.ask("POST", "/mcp", headers, json.dumps(request).encode())
    assert found.status == 200
    check_mcp(found.status, found.headers, found.body, body)
