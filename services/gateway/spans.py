"""Records traces: a span for each request, and below it one for each attempt to ask a server.

Import this only where tracing is on. Attributes follow OpenTelemetry's conventions for MCP; arguments,
results and what identifies a caller are never among them.
"""

import asyncio
import time
from functools import lru_cache
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)
from opentelemetry.trace import Tracer as SpanMaker

from services.gateway.errors import UpstreamError
from services.gateway.messages import DECODE_ERRORS, Incoming, RawObject, Request, decode_text, raw
from services.gateway.tracing import TRACEPARENT, Attempt, Trace, caller_context
from services.kit.metrics import ErrorType
from services.kit.trace_context import TraceContext, new_context
from services.kit.traces import Tracing

TRACESTATE: Final = "tracestate"
METHOD: Final = "mcp.method.name"
SERVER: Final = "mcp_platform.server"
"""The name of the server that answers."""

_NAMED: Final = {"tools/call": "gen_ai.tool.name", "prompts/get": "gen_ai.prompt.name"}
_LONGEST: Final = 128
_NANOSECONDS: Final = 1_000_000_000


class SpanTracer:
    """Records the requests of callers who record, and a share of all others."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing
        self._spans = tracing.provider.get_tracer("mcp-platform.gateway")

    def close(self) -> None:
        """Deliver what is left."""
        self._tracing.close()

    def join(self, request: Request, params: RawObject, meta: RawObject, version: str, began: float) -> Trace:
        """The caller's trace, or a new one; servers learn of it either way, and don't begin one."""
        parent = caller_context(meta)
        if parent is None:
            meta.pop(TRACESTATE, None)  # it means nothing by itself
        elif not parent.sampled:
            return Trace(parent)
        target = _text(params, "name")
        span = self._spans.start_span(
            _name(request.method, target),
            Context() if parent is None else _remote(parent, meta),
            SpanKind.SERVER,
            {
                **_described(request.method, target),
                "mcp.protocol.version": version,
                "jsonrpc.request.id": str(request.id)[:_LONGEST],
            },
            start_time=time.time_ns() - int((time.perf_counter() - began) * _NANOSECONDS),
        )
        context = _context_of(span)
        meta[TRACEPARENT] = raw(context.traceparent)
        return RecordedTrace(context, self._spans, span) if span.is_recording() else Trace(context)


class RecordedTrace(Trace):
    """A trace with a span for the request."""

    __slots__ = ("_inside", "_span", "_spans")

    def __init__(self, context: TraceContext, spans: SpanMaker, span: Span) -> None:
        super().__init__(context)
        self._spans = spans
        self._span = span
        self._inside = set_span_in_context(span, Context())

    def attempt(self, body: bytes, headers: dict[str, str], server: str, url: str) -> Attempt:
        """A request to an endpoint, with a span that is the parent of the server's own."""
        assert self.context  # noqa: S101 - a recorded trace has one
        method = headers["Mcp-Method"]
        host, port = _address(url)
        span = self._spans.start_span(
            _name(method, headers.get("Mcp-Name")),
            self._inside,
            SpanKind.CLIENT,
            # Each attribute costs; what the request's span has isn't repeated.
            {METHOD: method, SERVER: server, "server.address": host, "server.port": port},
        )
        # Written in the body is our own span, whose id nobody outside has seen: nothing else can be hit.
        traceparent = _context_of(span).traceparent
        body = body.replace(self.context.traceparent.encode(), traceparent.encode(), 1)
        return RecordedAttempt(body, {**headers, TRACEPARENT: traceparent}, span)

    def end(self, server: str, error: str | None) -> None:
        """The call is answered."""
        if server:
            self._span.set_attribute(SERVER, server)
        _end(self._span, error)


class RecordedAttempt(Attempt):
    """An attempt with a span."""

    __slots__ = ("_span",)

    def __init__(self, body: bytes, headers: dict[str, str], span: Span) -> None:
        super().__init__(body, headers)
        self._span = span

    def answered(self, reply: Incoming) -> None:
        """Tell what the server says."""
        if reply.error:
            self.error = str(reply.error.code)
            self._span.set_attribute("rpc.response.status_code", self.error)
        elif isinstance(reply.result, dict) and bytes(reply.result.get("isError", b"")) == b"true":
            self.error = ErrorType.TOOL

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _end(self._span, self.error or (_error_of(error) if error else None))


def _end(span: Span, error: str | None) -> None:
    if error is not None:
        span.set_attribute("error.type", error)
        span.set_status(StatusCode.ERROR)
    span.end()


def _error_of(error: BaseException) -> str:
    match error:
        case UpstreamError():
            return error.kind
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
            return ErrorType.UNAVAILABLE
        case TimeoutError():
            return ErrorType.TIMEOUT
        case asyncio.CancelledError():
            return ErrorType.CANCELLED
        case _:
            return ErrorType.INTERNAL


def _described(method: str, target: str | None) -> dict[str, Any]:
    """The attributes that say what is asked."""
    attributes = {METHOD: method[:_LONGEST]}
    if method == "tools/call":
        attributes["gen_ai.operation.name"] = "execute_tool"
    if method in _NAMED and target is not None:
        attributes[_NAMED[method]] = target[:_LONGEST]
    return attributes


def _name(method: str, target: str | None) -> str:
    """A span's name; without URIs, of which there are too many."""
    if method not in _NAMED or target is None:
        return method[:_LONGEST]
    return f"{method} {target[:_LONGEST]}"


def _text(values: RawObject, key: str) -> str | None:
    try:
        return decode_text(values[key])
    except (KeyError, *DECODE_ERRORS):
        return None


def _remote(parent: TraceContext, meta: RawObject) -> Context:
    """The caller's span as a parent."""
    state = _text(meta, TRACESTATE)
    context = SpanContext(
        int(parent.trace_id, 16),
        int(parent.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
        trace_state=None if state is None else TraceState.from_header([state]),
    )
    return set_span_in_context(NonRecordingSpan(context), Context())


def _context_of(span: Span) -> TraceContext:
    found = span.get_span_context()
    return new_context(found.trace_id, found.span_id, sampled=found.trace_flags.sampled)


@lru_cache(maxsize=1024)
def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
