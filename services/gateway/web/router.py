"""Finds the operation for a request, lets in who may use it, and sends what it answers."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
import structlog

from services.gateway.access import Access
from services.gateway.audit.trail import Trail
from services.gateway.deadline import Deadline
from services.gateway.errors import HttpRefusal
from services.gateway.guard import ClientGoneError, Guard
from services.gateway.metrics import GatewayMetrics
from services.gateway.record import Record, failure_field
from services.gateway.request_id import request_id_of
from services.gateway.traffic.limits import Limiter
from services.gateway.web.operation import NOBODY, NOTHING, Operation, Reply, WebRequest
from services.gateway.web.parsing import content_of, described, query_of
from services.gateway.web.problems import problem
from services.kit.asgi import Receive, Scope, Send, respond
from services.kit.logs import bind_request, get_logger

_LONGEST: Final = 40
_DEFECT: Final = HttpRefusal(500, "internal error", reason="internal", violation=False)
_HEADERS: Final = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
"""Unless an operation says otherwise."""


class Router:
    """Answers every request whose path isn't MCP's."""

    def __init__(
        self,
        operations: Iterable[Operation],
        guard: Guard,
        access: Access,
        limiter: Limiter,
        metrics: GatewayMetrics,
        trail: Trail,
        deadline_seconds: float,
    ) -> None:
        self._paths: dict[tuple[str, ...], dict[str, Operation]] = {}
        for it in operations:
            self._paths.setdefault(_segments(it.path), {})[it.method] = it
        self._guard = guard
        self._access = access
        self._limiter = limiter
        self._metrics = metrics
        self._trail = trail
        self._deadline_seconds = deadline_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; whatever goes wrong in it becomes a problem document."""
        request_id = request_id_of(scope)
        path = _shown(scope["path"])
        record = Record(request_id, method=f"{scope['method'][:_LONGEST]} {path}")
        structlog.contextvars.clear_contextvars()
        bind_request(request_id)
        outcome = "ok"
        try:
            async with Deadline(self._deadline_seconds, record):
                reply = await self._reply(scope, receive, record)
                await self._trail.settle(record)
        except HttpRefusal as refusal:
            outcome = refusal.reason
            record.refused(refusal)
            if refusal.violation:
                self._metrics.violations.labels(outcome).inc()
            reply = problem(refusal)
        except ClientGoneError:
            return
        except Exception:  # noqa: BLE001 - a defect of ours: logged, and never a traceback to the caller
            get_logger().exception("request failed")
            record.ended("internal")
            outcome, reply = "internal", problem(_DEFECT)
        finally:
            self._trail.leave(record)
        headers = [(b"x-request-id", request_id.encode()), *reply.headers]
        given = {name for name, _ in reply.headers}
        headers += [header for header in _HEADERS if header[0] not in given]
        await respond(send, reply.status, reply.body, content_type=reply.content_type, headers=headers)
        get_logger().info(
            "page",
            method=scope["method"][:_LONGEST],
            path=path,
            status=reply.status,
            outcome=outcome,
            duration_ms=round(record.seconds * 1000, 2),
            **({"action": record.method} if record.admin else {}),
            **failure_field(record),
        )

    async def _reply(self, scope: Scope, receive: Receive, record: Record) -> Reply:
        operation, path = self._find(scope["path"], scope["method"])
        if operation.scope is None:
            answer = await operation.answer(WebRequest(NOBODY, NOTHING, path, {}))
        else:
            headers = self._guard.headers(scope)
            principal, view = await self._access.admit(headers.get(b"authorization"))
            record.principal = principal
            record.admin = operation.method != "GET"
            bind_request(record.request_id, user=principal.subject)
            await self._limiter.admit(principal, None)
            self._access.require(principal, {operation.scope})
            query = query_of(scope["query_string"], operation.query)
            content = None
            if operation.takes is not None:
                content = content_of(await self._guard.body(headers, receive), operation.takes)
            request = WebRequest(principal, view, path, query, content)
            record.method = described(operation.method, _shown(scope["path"]), request)
            await self._trail.admit(record)
            answer = await operation.answer(request)
        return answer if isinstance(answer, Reply) else Reply(200, msgspec.json.encode(answer))

    def _find(self, path: str, method: str) -> tuple[Operation, Mapping[str, str]]:
        segments = _segments(path)
        methods, named = self._paths.get(segments), dict[str, str]()
        if methods is None:
            for pattern, found in self._paths.items():
                matched = _match(pattern, segments)
                if matched is not None:
                    methods, named = found, matched
                    break
            else:
                raise HttpRefusal(404, "not found", reason="not_found")
        if method not in methods:
            allowed = ", ".join(sorted(methods))
            headers = ((b"allow", allowed.encode()),)
            raise HttpRefusal(405, f"only {allowed} is served here", reason="method", headers=headers)
        return methods[method], named


def _shown(path: str) -> str:
    """A path as logs show it: long enough to know it again, too short for a token that somebody put there."""
    return "/".join(part[:_LONGEST] for part in path.split("/"))[:200]


def _segments(path: str) -> tuple[str, ...]:
    return tuple(path.split("/"))


def _match(pattern: tuple[str, ...], segments: tuple[str, ...]) -> dict[str, str] | None:
    if len(pattern) != len(segments):
        return None
    named: dict[str, str] = {}
    for expected, given in zip(pattern, segments, strict=True):
        if expected.startswith("{") and given:
            named[expected[1:-1]] = given
        elif expected != given:
            return None
    return named
