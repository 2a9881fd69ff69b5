"""Keeps from callers what servers' texts must not bring them: the one place that all answers pass."""

import asyncio
import time
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec
from prometheus_client import CollectorRegistry, Counter

from services.gateway.config_content import Content
from services.gateway.content.rules import Findings, Rule, Rules
from services.gateway.errors import CONTENT_BLOCKED, RpcError, UpstreamError
from services.gateway.messages import ErrorObject, Incoming, RawObject, result_of
from services.gateway.upstream_question import OnEvent
from services.kit.logs import get_logger
from services.kit.metrics import ErrorType

LARGE: Final = 64 * 1024
"""What is suspicious and larger is looked through beside the event loop."""
QUIET_SECONDS: Final = 60.0
MAX_LOGGED: Final = 1000

_OPAQUE: Final = frozenset({"resultType", "requestState", "ttlMs", "cacheScope", "isError", "nextCursor"})
"""Members of a result that no person or model reads; `requestState` must come back as it was."""

T = TypeVar("T")


class ContentFilter:
    """Cleans what servers answer, by the rule of what was called."""

    def __init__(self, settings: Content, registry: CollectorRegistry) -> None:
        self.rules = Rules(settings)
        self._sanitized = Counter(
            "mcp_content_sanitized_total",
            "Hidden characters that were taken out of servers' texts.",
            ["server", "kind"],
            registry=registry,
        )
        self._findings = Counter(
            "mcp_content_findings_total",
            "Secrets and oversized results in servers' answers, by what was done about them.",
            ["server", "kind", "action"],
            registry=registry,
        )
        self._logged: dict[tuple[str, str], float] = {}

    async def result(self, reply: Incoming, rule: Rule, server: str, name: str) -> RawObject:
        """The result of a server's response, cleaned.

        Raises:
            RpcError: it is an error (cleaned, too), too large, or holds a secret that blocks it.
        """
        if reply.error:
            reply.error = await self._error(reply.error, rule, server, name)
        result = result_of(reply)
        values = {key: bytes(value) for key, value in result.items()}
        size = sum(map(len, values.values()))
        if size > rule.limit:
            self._findings.labels(server, "size", "blocked").inc()
            raise RpcError(
                CONTENT_BLOCKED,
                f"{name} was carried out, but its result of {size} bytes is larger than the {rule.limit} "
                "that are let through",
                {"type": "result_too_large", "bytes": size, "limit": rule.limit},
            )
        for key, value in values.items():
            if key not in _OPAQUE and rule.may_find(value):
                result[key] = msgspec.Raw(await self._cleaned(value, rule, server, name))
        return result

    def events(self, on_event: OnEvent | None, rule: Rule, server: str, name: str) -> OnEvent | None:
        """Where a server's notifications go; one with a secret that blocks it goes nowhere."""
        if on_event is None:
            return None

        async def cleaned(data: bytes | None) -> None:
            if data is not None and rule.may_find(data):
                try:
                    data = await self._cleaned(data, rule, server, name)
                except RpcError as error:
                    if error.code != CONTENT_BLOCKED:
                        raise
                    return
            await on_event(data)

        return cleaned

    async def listed(self, data: msgspec.Raw, server: str) -> msgspec.Raw:
        """The items of a list, without what is hidden in them."""
        content = bytes(data)
        if not self.rules.lists.may_find(content):
            return data
        return msgspec.Raw(await self._cleaned(content, self.rules.lists, server, "list"))

    def text(self, text: str, server: str) -> str:
        """A server's own words within a message of ours."""
        findings = Findings()
        cleaned = self.rules.general.clean_text(text, findings)
        self._tell(findings, "redacted", server, "error")
        return cleaned

    async def _error(self, error: ErrorObject, rule: Rule, server: str, name: str) -> ErrorObject:
        encoded = msgspec.json.encode(error)
        if not rule.may_find(encoded):
            return error
        return msgspec.json.decode(await self._cleaned(encoded, rule, server, name), type=ErrorObject)

    async def _cleaned(self, data: bytes, rule: Rule, server: str, name: str) -> bytes:
        findings = Findings()
        try:
            cleaned = await _apart(len(data), lambda: rule.clean(data, findings))
        except ValueError:
            raise UpstreamError(
                server, ErrorType.BAD_RESPONSE, "answered with text that isn't JSON in UTF-8"
            ) from None
        blocks = rule.leaks == "block" and bool(findings.secrets)
        self._tell(findings, "blocked" if blocks else "redacted", server, name)
        if blocks:
            kinds = sorted(findings.secrets)
            raise RpcError(
                CONTENT_BLOCKED,
                f"what {name} answered looks like it holds a secret ({', '.join(kinds)}) and isn't passed on",
                {"type": "secret", "kinds": kinds},
            )
        return cleaned

    def _tell(self, findings: Findings, action: str, server: str, name: str) -> None:
        if not findings:
            return
        for kind, number in findings.hidden.items():
            self._sanitized.labels(server, kind).inc(number)
        for kind, number in findings.secrets.items():
            self._findings.labels(server, kind, action).inc(number)
        now = time.monotonic()
        if now - self._logged.get((server, name), -QUIET_SECONDS) < QUIET_SECONDS:
            return  # all of it is counted; that it goes on needn't fill the log
        if len(self._logged) >= MAX_LOGGED:
            del self._logged[next(iter(self._logged))]
        self._logged[server, name] = now
        get_logger().warning(
            "server's text cleaned",
            server=server,
            name=name[:200],
            hidden=dict(findings.hidden),
            secrets=dict(findings.secrets),
            action=action,
        )


async def _apart(size: int, work: Callable[[], T]) -> T:
    return work() if size <= LARGE else await asyncio.to_thread(work)
