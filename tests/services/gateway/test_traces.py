"""Traces: from the caller through the gateway to a server, as a collector gets them."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from conftest import Gateway, Launcher, Tokens

PARENT = "b7ad6b7169203331"
ADD = {"name": "echo__add", "arguments": {"a": 1, "b": 41}}
SERVER, CLIENT = 2, 3


@dataclass
class Span:
    service: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    trace_state: str
    seconds: float
    failed: bool
    attributes: dict[str, Any]


@dataclass
class Collector:
    """Takes spans by OTLP over HTTP."""

    server: ThreadingHTTPServer
    spans: list[Span] = field(default_factory=list[Span])
    bodies: list[bytes] = field(default_factory=list[bytes])
    status: int = 200

    @property
    def port(self) -> int:
        return self.server.server_address[1]

    @property
    def settings(self) -> dict[str, Any]:
        return {"endpoint": f"http://127.0.0.1:{self.port}", "sample_ratio": 0}

    def take(self, body: bytes) -> None:
        self.bodies.append(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            facts = _plain(resource.resource.attributes)
            for scope in resource.scope_spans:
                self.spans += [_span(str(facts["service.name"]), it) for it in scope.spans]

    def of(self, trace: Trace) -> list[Span]:
        return [it for it in self.spans if it.trace_id == trace.id]

    def one(self, trace: Trace, name: str, kind: int, service: str = "gateway") -> Span:
        (found,) = (it for it in self.of(trace) if (it.name, it.kind, it.service) == (name, kind, service))
        return found


class Trace:
    """A caller's trace."""

    def __init__(self) -> None:
        self.id = secrets.token_hex(16)
        self.meta = {"traceparent": f"00-{self.id}-{PARENT}-01"}


def _plain(attributes: Any) -> dict[str, Any]:
    return {it.key: getattr(it.value, str(it.value.WhichOneof("value"))) for it in attributes}


def _span(service: str, span: Any) -> Span:
    return Span(
        service=service,
        name=span.name,
        kind=span.kind,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        trace_state=span.trace_state,
        seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
        failed=span.status.code == 2,
        attributes=_plain(span.attributes),
    )


def listen(port: int = 0) -> Collector:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces"
            assert self.headers["Content-Type"] == "application/x-protobuf"
            status = found.status
            if status == 200:
                found.take(body)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002 - the base class names it

    found = Collector(ThreadingHTTPServer(("127.0.0.1", port), Handler))
    threading.Thread(target=found.server.serve_forever, daemon=True).start()
    return found


@pytest.fixture
def collector() -> Iterator[Collector]:
    found = listen()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture(scope="module")
def kept() -> Iterator[Collector]:
    """A collector that all tests of `traced` use."""
    found = listen()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture(scope="module")
def traced(shared: Launcher, kept: Collector, odd: str, alpha: str) -> Gateway:
    """In front of a server of the kit that records, and of others that don't."""
    echo = shared.server("echo", TRACING_ENDPOINT=kept.settings["endpoint"], TRACING_SAMPLE_RATIO="0")
    urls = {"echo": echo, "odd": odd, "alpha": alpha}
    servers = [{"name": name, "urls": [url]} for name, url in urls.items()]
    # Else a server is asked for its list in the trace of a call, whenever the tool isn't known to be in it.
    approval = {"by_annotation": "off"}
    return shared.gateway(
        {"auth": "none", "servers": servers, "tracing": kept.settings, "approval": approval}
    )


def logged(gateway: Gateway, request_id: str) -> dict[str, Any]:
    def find() -> list[dict[str, Any]]:
        return [it for it in gateway.process.lines() if it.get("request_id") == request_id]

    return gateway.wait_for(find, "line of the access log")[-1]


def mirrored(gateway: Gateway, meta: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """What a server gets: `_meta` and headers."""
    result = gateway.mcp("tools/call", {"name": "odd__mirror", "arguments": {}}, meta=meta).json()["result"]
    seen = json.loads(result["content"][0]["text"])
    return seen["request"]["params"]["_meta"], seen["headers"]


def test_one_trace_from_the_caller_to_the_server(traced: Gateway, kept: Collector) -> None:
    trace = Trace()
    meta = {**trace.meta, "tracestate": "vendor=opaque"}
    answer = traced.mcp("tools/call", ADD, meta=meta, id="q1", headers={"X-Request-Id": "traced-1"})
    assert answer.json()["result"]["structuredContent"] == {"result": 42}
    traced.wait_for(lambda: len(kept.of(trace)) == 3, "three spans")
    entered = kept.one(trace, "tools/call echo__add", SERVER)
    attempt = kept.one(trace, "tools/call add", CLIENT)
    served = kept.one(trace, "tools/call add", SERVER, "echo")
    assert (entered.parent_id, attempt.parent_id) == (PARENT, entered.span_id)
    assert served.parent_id == attempt.span_id
    assert entered.seconds >= attempt.seconds >= served.seconds > 0
    assert entered.trace_state == attempt.trace_state == "vendor=opaque"
    expected = {
        "mcp.method.name": "tools/call",
        "mcp.protocol.version": "2026-07-28",
        "jsonrpc.request.id": "q1",
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "echo__add",
        "mcp_platform.server": "echo",
    }
    assert entered.attributes == expected
    assert attempt.attributes.pop("server.port") > 0
    expected = {"mcp.method.name": "tools/call", "mcp_platform.server": "echo", "server.address": "127.0.0.1"}
    assert attempt.attributes == expected
    line = logged(traced, "traced-1")
    assert (line["trace_id"], line["span_id"]) == (trace.id, entered.span_id)


def test_an_older_client_is_joined_too(traced: Gateway, kept: Collector) -> None:
    trace = Trace()
    assert traced.legacy("tools/call", {**ADD, "_meta": trace.meta}).is_success
    traced.wait_for(lambda: len(kept.of(trace)) == 3, "three spans")
    assert kept.one(trace, "tools/call echo__add", SERVER).attributes["mcp.protocol.version"] == "2025-11-25"


def test_context_goes_on_to_servers(traced: Gateway, kept: Collector) -> None:
    trace = Trace()
    rest = {"tracestate": "vendor=opaque", "baggage": "tenant=blue"}
    meta, headers = mirrored(traced, {**trace.meta, **rest})
    traced.wait_for(lambda: len(kept.of(trace)) == 2, "the attempt's span")
    attempt = kept.one(trace, "tools/call mirror", CLIENT)
    assert meta["traceparent"] == headers["traceparent"] == f"00-{trace.id}-{attempt.span_id}-01"
    assert {key: meta[key] for key in rest} == rest


def test_what_the_caller_does_not_record_is_not_recorded(traced: Gateway, kept: Collector) -> None:
    silent, loud = Trace(), Trace()
    unsampled = {"traceparent": f"00-{silent.id}-{PARENT}-00"}
    meta, headers = mirrored(traced, unsampled)
    assert meta["traceparent"] == headers["traceparent"] == unsampled["traceparent"]
    traced.mcp("tools/call", ADD, meta=unsampled)
    # The ratio is 0: servers are told not to record what begins here.
    meta, headers = mirrored(traced, {})
    assert meta["traceparent"] == headers["traceparent"]
    assert meta["traceparent"].endswith("-00")
    new = meta["traceparent"].split("-")[1]
    traced.mcp("tools/call", ADD, meta=loud.meta)
    traced.wait_for(lambda: len(kept.of(loud)) == 3, "the spans of the last call")
    assert {it.trace_id for it in kept.spans}.isdisjoint({silent.id, new})


@pytest.mark.parametrize(
    "form", ["{0}", "ff-{0}-{1}-01", "00-{2}-{1}-01", "00-{0}-{2}-01", "00-{0}-{1}-01-x"]
)
def test_a_malformed_context_is_none(traced: Gateway, form: str) -> None:
    trace = Trace()
    traceparent = form.format(trace.id, PARENT, "0" * 32)
    meta, headers = mirrored(traced, {"traceparent": traceparent, "tracestate": "vendor=opaque"})
    assert meta["traceparent"] == headers["traceparent"]
    assert trace.id not in meta["traceparent"]
    assert "tracestate" not in meta


@pytest.mark.parametrize("traceparent", [7, {"a": 1}, None])
def test_a_context_that_is_no_text_is_none(traced: Gateway, traceparent: Any) -> None:
    meta, _ = mirrored(traced, {"traceparent": traceparent})
    assert meta["traceparent"].endswith("-00")


@pytest.mark.parametrize(
    ("method", "name", "error", "attempts"),
    [
        ("tools/call", "odd__html", "bad_response", ["bad_response"]),
        ("tools/call", "alpha__fail", "tool_error", ["tool_error"]),
        ("prompts/get", "odd__missing", "-32601", ["-32601"]),
        ("tools/call", "nowhere__tool", "-32602", []),
    ],
)
def test_spans_say_what_went_wrong(
    traced: Gateway, kept: Collector, method: str, name: str, error: str, attempts: list[str]
) -> None:
    trace = Trace()
    traced.mcp(method, {"name": name, "arguments": {}}, meta=trace.meta)
    traced.wait_for(lambda: [it for it in kept.of(trace) if it.kind == SERVER], "the request's span")
    entered = kept.one(trace, f"{method} {name}", SERVER)
    assert (entered.attributes["error.type"], entered.failed) == (error, True)
    tried = [it for it in kept.of(trace) if it.kind == CLIENT]
    assert [it.attributes["error.type"] for it in tried] == attempts
    assert all(it.failed for it in tried)


def test_each_attempt_has_a_span(launcher: Launcher, collector: Collector) -> None:
    flaky = f"http://127.0.0.1:{launcher.program('flaky_server')}"
    servers = [{"name": "flaky", "urls": [f"{flaky}/mcp"]}]
    gateway = launcher.gateway({"auth": "none", "servers": servers, "tracing": collector.settings})
    httpx2.post(f"{flaky}/plan", json=["break", "away"])
    trace = Trace()
    assert "result" in gateway.mcp("resources/read", {"uri": "flaky+note://x"}, meta=trace.meta).json()
    gateway.wait_for(lambda: len(collector.of(trace)) == 4, "three attempts and the request")
    entered = collector.one(trace, "resources/read", SERVER)
    attempts = [it for it in collector.of(trace) if it.kind == CLIENT]
    assert {it.parent_id for it in attempts} == {entered.span_id}
    assert [it.attributes.get("error.type") for it in attempts] == ["unavailable", "bad_response", None]
    assert "error.type" not in entered.attributes


def test_neither_arguments_nor_results_nor_tokens_are_in_spans(
    launcher: Launcher, collector: Collector, tokens: Tokens, alpha: str
) -> None:
    gateway = launcher.gateway(
        {"auth": tokens.auth, "servers": [{"name": "alpha", "urls": [alpha]}], "tracing": collector.settings}
    )
    token = tokens.make(sub="canary-subject")
    headers = {"Authorization": f"Bearer {token}"}
    # All tools' annotations; they would be asked for in the first call's trace otherwise.
    assert gateway.mcp("tools/list", headers=headers).is_success
    for method, params in (
        ("prompts/get", {"name": "alpha__greet", "arguments": {"whom": "canary-argument"}}),
        ("resources/read", {"uri": "alpha+note://by/canary-uri"}),
        ("tools/call", {"name": "alpha__add", "arguments": {"a": 1, "b": "canary-argument"}}),
    ):
        assert gateway.mcp(method, params, headers=headers, meta=Trace().meta).is_success
    gateway.wait_for(lambda: len(collector.spans) == 6, "the spans of three requests")
    for canary in ("canary", token, token.split(".")[2]):
        assert not any(canary.encode() in body for body in collector.bodies)


def test_a_share_of_what_begins_here_is_recorded(launcher: Launcher, collector: Collector, odd: str) -> None:
    tracing = {**collector.settings, "sample_ratio": 0.5}
    servers = [{"name": "odd", "urls": [odd]}]
    gateway = launcher.gateway({"auth": "none", "servers": servers, "tracing": tracing})
    flags = [mirrored(gateway, {})[0]["traceparent"][-2:] for _ in range(60)]
    recorded = flags.count("01")
    assert 5 < recorded < 55  # by chance outside of it: once in a million runs … of a million
    assert gateway.process.stop() == 0
    # What was left was delivered at the end.
    assert len([it for it in collector.spans if it.kind == SERVER]) == recorded
    assert len({it.trace_id for it in collector.spans}) == recorded


def test_a_collector_that_is_away_bothers_nobody(launcher: Launcher, collector: Collector, odd: str) -> None:
    collector.status = 503
    servers = [{"name": "odd", "urls": [odd]}]
    gateway = launcher.gateway({"auth": "none", "servers": servers, "tracing": collector.settings})

    def said() -> list[str]:
        return [it["event"] for it in gateway.process.lines() if "traces" in it["event"]]

    for _ in range(5):
        assert gateway.mcp("tools/call", {"name": "odd__link"}, meta=Trace().meta).is_success
        gateway.wait_for(lambda: gateway.metric("mcp_trace_spans_lost_total") > 0, "lost spans")
    assert said() == ["traces can't be delivered"]
    collector.status = 200
    trace = Trace()
    gateway.mcp("tools/call", {"name": "odd__link"}, meta=trace.meta)
    gateway.wait_for(lambda: collector.of(trace), "a span at last")
    gateway.wait_for(
        lambda: said() == ["traces can't be delivered", "traces are delivered again"], "the news"
    )
    assert not [it for it in gateway.process.lines() if "opentelemetry" in str(it.get("logger"))]


def test_a_collector_that_hangs_holds_up_neither_calls_nor_the_end(launcher: Launcher, odd: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        tracing = {"endpoint": f"http://127.0.0.1:{silent.getsockname()[1]}", "sample_ratio": 1}
        servers = [{"name": "odd", "urls": [odd]}]
        gateway = launcher.gateway({"auth": "none", "servers": servers, "tracing": tracing})
        for _ in range(20):
            assert gateway.mcp("tools/call", {"name": "odd__link", "arguments": {}}).is_success
        assert gateway.process.stop() == 0


def test_without_tracing_its_libraries_are_not_loaded_and_context_passes(
    gateway: Gateway, traced: Gateway
) -> None:
    given = {**Trace().meta, "tracestate": "vendor=opaque", "baggage": "tenant=blue"}
    meta, headers = mirrored(gateway, given)
    assert {key: meta[key] for key in given} == given
    assert headers["traceparent"] == given["traceparent"]
    assert (uses_protobuf(gateway), uses_protobuf(traced)) == (False, True)


def uses_protobuf(gateway: Gateway) -> bool:
    return "google/_upb" in Path(f"/proc/{gateway.process.popen.pid}/maps").read_text()


@pytest.mark.parametrize("endpoint", ["http://user:secret@127.0.0.1:4318", "collector:4318", "ftp://c"])
def test_an_endpoint_that_is_none_is_refused(launcher: Launcher, endpoint: str) -> None:
    file = launcher.folder / "wrong.yaml"
    server = {"name": "a", "urls": ["http://127.0.0.1:1/mcp"]}
    file.write_text(json.dumps({"auth": "none", "servers": [server], "tracing": {"endpoint": endpoint}}))
    done = subprocess.run(
        [sys.executable, "-m", "services.gateway", "--check", "--config", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "tracing.endpoint" in done.stderr
    assert "secret" not in done.stderr
