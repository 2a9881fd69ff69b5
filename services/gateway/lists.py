"""The lists of all servers as one: asked in parallel within a deadline, qualified, in a fixed order."""

import asyncio
import contextlib
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from services.gateway.authorization import Kind
from services.gateway.call import Call
from services.gateway.config import GatewayConfig
from services.gateway.content.filtering import ContentFilter
from services.gateway.errors import INVALID_PARAMS, METHOD_NOT_FOUND, RpcError, UpstreamError
from services.gateway.fleet import Fleet, Server
from services.gateway.messages import DECODE_ERRORS, RawObject, decode_objects, decode_text, raw
from services.gateway.metrics import GatewayMetrics
from services.gateway.names import Names
from services.gateway.questions import question
from services.gateway.upstream import Upstreams
from services.kit.conventions import MISSING_SERVERS_META
from services.kit.logs import get_logger
from services.kit.metrics import ErrorType

MAX_PAGES: Final = 100
"""A server whose list has more pages than this is treated as broken."""


@dataclass(frozen=True, slots=True)
class ListKind:
    """How one list method names its items."""

    items: str
    key: str
    """The item's field that is its identity and gets the server's name."""
    kind: Kind


LISTS: Final = {
    "tools/list": ListKind("tools", "name", Kind.TOOL),
    "prompts/list": ListKind("prompts", "name", Kind.PROMPT),
    "resources/list": ListKind("resources", "uri", Kind.RESOURCE),
    "resources/templates/list": ListKind("resourceTemplates", "uriTemplate", Kind.RESOURCE),
}


@dataclass(slots=True)
class Part:
    """One server's part of a list."""

    items: dict[str, RawObject] = field(default_factory=dict[str, RawObject])
    """By qualified identity."""
    ttl_ms: int | None = None
    """The shortest of its pages; None until there is one."""
    public: bool = True
    repeatable: set[str] = field(default_factory=set[str])
    """Tools, by the server's own names, that may be called again when it is unknown if they ran."""
    problem: str | None = None


class Lists:
    """Answers the list methods."""

    def __init__(
        self,
        fleet: Fleet,
        upstreams: Upstreams,
        metrics: GatewayMetrics,
        config: GatewayConfig,
        names: Names,
        content: ContentFilter,
    ) -> None:
        self._content = content
        self._fleet = fleet
        self._upstreams = upstreams
        self._metrics = metrics
        self._names = names
        self._seconds = config.upstream.list_seconds
        self._max_ttl_ms = config.lists.max_ttl_ms

    async def answer(self, call: Call) -> RawObject:
        """Everything that the servers list, on one page; `_meta` names servers whose part is missing.

        Raises:
            RpcError: the caller sent a cursor, of which we never give one out.
        """
        if "cursor" in call.params and bytes(call.params["cursor"]) != b"null":
            raise RpcError(INVALID_PARAMS, "unknown cursor: this list has one page")
        kind = LISTS[call.method]
        servers = [server for server in self._fleet.servers.values() if call.view.sees(server.name)]
        parts = await asyncio.gather(*(self._part(server, call, kind) for server in servers))
        items: dict[str, RawObject] = {}
        missing: dict[str, str] = {}
        for server, part in zip(servers, parts, strict=True):
            items |= self._visible(call, kind, server.name, part)
            if part.problem is not None:
                missing[server.name] = part.problem
                self._metrics.missing.labels(server.name).inc()
        if kind.items == "tools":
            for name in items:
                self._metrics.known_tools.admit(name)
        return self._result(kind, items, parts, missing, same_for_all=not call.view.restricted)

    async def schema_of(self, server: Server, tool: str, call: Call) -> msgspec.Raw | None:
        """The input schema that a server lists for its tool, asked for on behalf of `call`."""
        listing = replace(call, method="tools/list", params={}, on_event=None)
        part = await self._part(server, listing, LISTS["tools/list"])
        item = part.items.get(self._names.qualify(server.name, tool), {})
        return item.get("inputSchema")

    def _result(
        self,
        kind: ListKind,
        items: dict[str, RawObject],
        parts: list[Part],
        missing: dict[str, str],
        *,
        same_for_all: bool,
    ) -> RawObject:
        # An incomplete list must not be kept: the missing server may be back at once.
        ttl = 0 if missing else min((part.ttl_ms or 0 for part in parts), default=0)
        public = same_for_all and not missing and all(part.public for part in parts)
        result = {
            kind.items: raw([items[name] for name in sorted(items)]),
            "ttlMs": raw(min(ttl, self._max_ttl_ms)),
            "cacheScope": raw("public" if public else "private"),
        }
        if missing:
            result["_meta"] = raw({MISSING_SERVERS_META: missing})
        return result

    async def _part(self, server: Server, call: Call, kind: ListKind) -> Part:
        part = Part()
        try:
            async with asyncio.timeout(self._seconds):
                await self._fill(part, server, call, kind)
        except TimeoutError:
            part.problem = f"no answer within {self._seconds:g} s"
        except RpcError as error:
            # A server without prompts (say) isn't missing from the list of prompts.
            part.problem = None if error.code == METHOD_NOT_FOUND else error.message
        except (KeyError, *DECODE_ERRORS):
            part.problem = "answered with a list that isn't one"
        if call.method == "tools/list" and part.problem is None:
            server.repeatable_tools = frozenset(part.repeatable)
        if part.problem is not None:
            part.items = {}
            get_logger().warning(
                "list incomplete", method=call.method, server=server.name, reason=part.problem
            )
        return part

    async def _fill(self, part: Part, server: Server, call: Call, kind: ListKind) -> None:
        """Collect all pages of one server."""
        cursor: msgspec.Raw | None = None
        seen: set[bytes] = set()
        for _ in range(MAX_PAGES):
            overrides = {} if cursor is None else {"cursor": cursor}
            asked = question(call, overrides, without=() if cursor else ("cursor",))
            asked.on_event = None
            asked.seconds = self._seconds
            reply = await self._upstreams.ask(server, asked)
            if reply.error:
                raise RpcError(reply.error.code, self._content.text(reply.error.message, server.name))
            assert isinstance(reply.result, dict)  # noqa: S101 - what isn't an error is a result
            page = reply.result
            page[kind.items] = await self._content.listed(page[kind.items], server.name)
            self._add_page(part, server.name, page, kind)
            cursor = reply.result.get("nextCursor")
            if cursor is None or bytes(cursor) == b"null":
                return
            if bytes(cursor) in seen:
                break
            seen.add(bytes(cursor))
        raise UpstreamError(server.name, ErrorType.BAD_RESPONSE, "answered with a list that doesn't end")

    def _visible(self, call: Call, kind: ListKind, server: str, part: Part) -> dict[str, RawObject]:
        """The items that are there for the caller, also those that need scopes which the caller can get."""
        if not call.view.restricted:
            return part.items
        split = self._names.split_uri if kind.kind is Kind.RESOURCE else self._names.split
        return {
            qualified: item
            for qualified, item in part.items.items()
            if call.view.decide(kind.kind, server, split(qualified)[1]).allowed
        }

    def _add_page(self, part: Part, server: str, page: RawObject, kind: ListKind) -> None:
        qualify = self._names.qualify_uri if kind.kind is Kind.RESOURCE else self._names.qualify
        for item in decode_objects(page[kind.items]):
            identity = decode_text(item[kind.key])
            qualified = qualify(server, identity)
            item[kind.key] = raw(qualified)
            part.items.setdefault(qualified, item)
            if kind.kind is Kind.TOOL and _is_repeatable(item):
                part.repeatable.add(identity)
        ttl = _ttl_ms(page)
        part.ttl_ms = ttl if part.ttl_ms is None else min(part.ttl_ms, ttl)
        part.public = part.public and bytes(page.get("cacheScope", b"")) == b'"public"'


class _Hints(msgspec.Struct):
    """What a tool's `annotations` say of repeating it."""

    read_only: bool = msgspec.field(default=False, name="readOnlyHint")
    idempotent: bool = msgspec.field(default=False, name="idempotentHint")


_hints: Final = msgspec.json.Decoder(_Hints)


def _is_repeatable(tool: RawObject) -> bool:
    """Whether its server says that calling it twice is no worse than once."""
    try:
        hints = _hints.decode(tool.get("annotations", b"{}"))
    except DECODE_ERRORS:
        return False
    return hints.read_only or hints.idempotent


def _ttl_ms(page: RawObject) -> int:
    with contextlib.suppress(*DECODE_ERRORS):
        return max(0, msgspec.json.decode(page.get("ttlMs", msgspec.Raw(b"0")), type=int))
    return 0
