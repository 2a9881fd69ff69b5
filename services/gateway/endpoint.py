"""The MCP endpoint: a POST from first byte to access log."""

import asyncio
from collections.abc import Mapping
from typing import Final

import msgspec
import structlog

from services.gateway.access import READ_SCOPE, Access
from services.gateway.answer import Answer
from services.gateway.asking import Asker
from services.gateway.audit.trail import Trail
from services.gateway.authorization import View
from services.gateway.call import Call, Era, tool_of
from services.gateway.deadline import Deadline
from services.gateway.disconnect import CancelOnDisconnect
from services.gateway.dispatch import Route, route_for
from services.gateway.eras import era_of, for_caller, may_be_older, meta_of
from services.gateway.errors import INTERNAL_ERROR, HttpRefusal, RpcError
from services.gateway.guard import PARAMETER_PREFIX, ClientGoneError, Guard, asks_for_stream, takes_stream
from services.gateway.listening.changes import METHOD as LISTEN
from services.gateway.listening.older import OlderListening
from services.gateway.messages import (
    decode_request,
    decode_response,
    error_bytes,
    result_bytes,
)
from services.gateway.metrics import GatewayMetrics
from services.gateway.permission import Permission
from services.gateway.record import Record, failure_field
from services.gateway.request_id import request_id_of
from services.gateway.session import HEADER, LogLevels
from services.gateway.tracing import TRACEPARENT, Tracer
from services.gateway.traffic.limits import Limiter
from services.kit.asgi import Headers, Receive, Scope, Send
from services.kit.logs import bind_request, get_logger
from services.kit.metrics import OTHER
from services.kit.tokens import Principal

MAX_PARAMETER_BYTES: Final = 8192
STREAM: Final = "GET"
"""HTTP's method by which the older generation opens a stream, in the log in place of one of MCP's."""
_CLIENT_CLOSED: Final = 499
"""What proxies log when the caller left before the answer; never sent."""


class McpEndpoint:
    """Answers POSTs on `/mcp`."""

    def __init__(
        self,
        guard: Guard,
        access: Access,
        limiter: Limiter,
        permission: Permission,
        table: Mapping[str, Route],
        metrics: GatewayMetrics,
        asker: Asker,
        levels: LogLevels,
        trail: Trail,
        tracer: Tracer,
        deadline_seconds: float,
        older: OlderListening | None,
    ) -> None:
        self._guard = guard
        self._access = access
        self._limiter = limiter
        self._permission = permission
        self._table = table
        self._metrics = metrics
        self._asker = asker
        self._levels = levels
        self._trail = trail
        self._tracer = tracer
        self._deadline_seconds = deadline_seconds
        self._older = older

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; whatever goes wrong in it becomes a JSON-RPC error."""
        request_id = request_id_of(scope)
        record = Record(request_id)
        structlog.contextvars.clear_contextvars()
        bind_request(request_id)
        answer = Answer(send, ((b"x-request-id", request_id.encode()),))
        try:
            async with Deadline(self._deadline_seconds, record, answer):
                await self._answer(scope, receive, answer, record)
        except HttpRefusal as refusal:
            if refusal.violation:
                self._metrics.violations.labels(refusal.reason).inc()
            record.refused(refusal)
            await self._finish(
                answer, record, refusal.status, _refusal_bytes(record, refusal), refusal.headers
            )
        except RpcError as error:
            record.failed(error)
            status = 200 if record.era == Era.HANDSHAKE else error.http_status
            await self._finish(answer, record, status, error_bytes(record.id, error))
        except ClientGoneError:
            record.ended("client_gone")
            answer.status = _CLIENT_CLOSED
        except asyncio.CancelledError:
            record.ended("shutdown")
            if not answer.finished:
                message = "the gateway is shutting down; the call may have been carried out"
                await answer.finish(503, error_bytes(record.id, RpcError(INTERNAL_ERROR, message)))
            raise
        except Exception:  # noqa: BLE001 - a defect of ours: logged, and never a traceback to the caller
            get_logger().exception("request failed")
            record.ended("internal")
            if not answer.finished:
                body = error_bytes(record.id, RpcError(INTERNAL_ERROR, "internal error"))
                await self._finish(answer, record, 500, body)
        finally:
            record.status = answer.status
            self._trail.leave(record)
            record.trace.end(record.server, record.failure)
            self._record(record)

    async def _finish(
        self, answer: Answer, record: Record, status: int, body: bytes, headers: Headers = ()
    ) -> None:
        """Answer, once the audit stream has what it must have before."""
        try:
            await self._trail.settle(record)
        except HttpRefusal as refusal:
            record.refused(refusal)
            status, headers = refusal.status, refusal.headers
            body = _refusal_bytes(record, refusal)
        await answer.finish(status, body, headers)

    async def _answer(self, scope: Scope, receive: Receive, answer: Answer, record: Record) -> None:
        if scope["method"] != "POST":
            await self._hear(scope, receive, answer, record)
            return
        headers = self._guard.headers(scope)
        principal, view = await self._access.admit(headers.get(b"authorization"))
        record.principal = principal
        bind_request(record.request_id, user=principal.subject)
        streams = takes_stream(headers)
        body = await self._guard.body(headers, receive)
        try:
            call = record.call = self._read(body, headers, principal, view, record)
        except RpcError:
            await self._limiter.admit(principal, None)
            raise
        await self._limiter.admit(principal, None if call is None else tool_of(call))
        if call is None:
            await answer.finish(202, b"")
            return
        route = route_for(self._table, call.method, call.era)
        self._permission.check(call, route.scope)
        if streams:
            call.on_event = answer.event
        async with CancelOnDisconnect(receive):
            await self._trail.admit(record)
            if call.era is Era.HANDSHAKE:
                result = await self._asker.settle(call, route.answer)
            else:
                result = await route.answer(call)
            body = result_bytes(call.id, for_caller(call.era, result))
            await self._finish(answer, record, 200, body, call.reply_headers)

    async def _hear(self, scope: Scope, receive: Receive, answer: Answer, record: Record) -> None:
        """Serve the one stream that isn't a POST's: on which the older generation hears of changes."""
        headers = self._guard.headers(scope) if scope["method"] == STREAM and self._older else {}
        asked = HEADER in headers and may_be_older(headers) and asks_for_stream(headers)
        if self._older is None or not asked:
            raise HttpRefusal(
                405, "only POST is served here", reason="method", headers=((b"allow", b"POST"),)
            )
        credentials = headers.get(b"authorization")
        principal, view = await self._access.admit(credentials)
        record.principal, record.method, record.era = principal, STREAM, Era.HANDSHAKE
        bind_request(record.request_id, user=principal.subject)
        await self._limiter.admit(principal, None)
        self._access.require(principal, {READ_SCOPE})
        call = Call(
            id="",
            method=STREAM,
            params={},
            meta={},
            era=Era.HANDSHAKE,
            principal=principal,
            view=view,
            credentials=credentials,
            session=headers[HEADER],
        )
        async with CancelOnDisconnect(receive):
            await self._older.hear(call, answer.event)
            await answer.end()

    def _read(
        self, body: bytes, headers: dict[bytes, bytes], principal: Principal, view: View, record: Record
    ) -> Call | None:
        """The call that a body holds; None for a notification, of which none concerns us, or a response."""
        if may_be_older(headers) and (reply := decode_response(body)) is not None:
            self._asker.take(principal, reply)
            return None
        request = decode_request(body)
        params = request.params if isinstance(request.params, dict) else {}
        record.method = request.method
        if isinstance(request.id, msgspec.UnsetType):
            return None
        record.id = request.id
        era = era_of(request, params, headers)
        record.era = era
        meta = meta_of(params) or {}
        trace = self._tracer.join(request, params, meta, era, record.began)
        record.trace = trace
        traceparent = trace.context and trace.context.traceparent
        bind_request(record.request_id, traceparent=traceparent)
        passed = _param_headers(headers) | {"X-Request-Id": record.request_id}
        if traceparent is not None:
            passed[TRACEPARENT] = traceparent
        session = headers.get(HEADER) if era is Era.HANDSHAKE else None
        return Call(
            id=request.id,
            method=request.method,
            params=params,
            meta=meta,
            trace=trace,
            era=era,
            principal=principal,
            view=view,
            headers=passed,
            credentials=headers.get(b"authorization"),
            session=session,
            log_level=self._levels.of(session),
        )

    def _record(self, record: Record) -> None:
        seconds = record.seconds
        method = record.method if record.method in self._table else OTHER
        self._metrics.requests_of(method, record.era or "none", record.status).inc()
        if record.method not in {LISTEN, STREAM}:  # how long callers listen says nothing of the gateway
            self._metrics.durations_of(method).observe(seconds)
        get_logger().info(
            "request",
            method=record.method[:100],
            era=record.era,
            server=record.server,
            name=record.target[:200],
            cached=record.cached,
            status=record.status,
            outcome=record.error or "ok",
            duration_ms=round(seconds * 1000, 2),
            **failure_field(record),
        )


def _refusal_bytes(record: Record, refusal: HttpRefusal) -> bytes:
    return error_bytes(record.id, RpcError(refusal.code, refusal.message, refusal.data))


def _param_headers(headers: dict[bytes, bytes]) -> dict[str, str]:
    """The caller's `Mcp-Param-*`, of which a server's own limit for headers must leave room for ours."""
    found = {
        name.decode(): value.decode("latin-1")
        for name, value in headers.items()
        if name.startswith(PARAMETER_PREFIX)
    }
    if found and sum(len(name) + len(value) for name, value in found.items()) > MAX_PARAMETER_BYTES:
        message = f"the Mcp-Param headers hold more than {MAX_PARAMETER_BYTES} bytes"
        raise HttpRefusal(431, message, reason="header_size")
    return found
