"""The lists of all servers as one: asked in parallel within a deadline, qualified, in a fixed order."""

import asyncio
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from services.gateway.authorization import Kind
from services.gateway.cache import metrics as cached
from services.gateway.cache.hinted import Asked, HintedCache, Told
from services.gateway.cache.keys import circumstances
from services.gateway.cache.response_cache import Found
from services.gateway.call import Call
from services.gateway.config import GatewayConfig
from services.gateway.errors import INVALID_PARAMS, METHOD_NOT_FOUND, RpcError
from services.gateway.fleet import Fleet, Server
from services.gateway.list_pages import ListPages
from services.gateway.list_parts import LISTS, ListKind, Part, PartReader
from services.gateway.messages import DECODE_ERRORS, RawObject, raw
from services.gateway.metrics import GatewayMetrics
from services.gateway.pinning.assembly import PinBoard
from services.kit.conventions import MISSING_SERVERS_META
from services.kit.logs import get_logger

_NOT_OF_THE_LIST: Final = frozenset({"_meta", "cursor"})
"""Parameters that don't say what a list is of."""


@dataclass(slots=True)
class Listed:
    """Everything of one kind that there is for a caller."""

    kind: ListKind
    items: dict[str, RawObject]
    """By qualified identity; the items themselves aren't changed."""
    ttl_ms: int
    public: bool
    missing: dict[str, str]
    """Servers whose part isn't there, and why."""


def refuse_cursor(call: Call) -> None:
    """Make sure that the first page is asked for; raises RpcError where it isn't: there is no other."""
    if "cursor" in call.params and bytes(call.params["cursor"]) != b"null":
        raise RpcError(INVALID_PARAMS, "unknown cursor: this list has one page")


class Lists:
    """Answers the list methods."""

    def __init__(
        self,
        fleet: Fleet,
        pages: ListPages,
        metrics: GatewayMetrics,
        config: GatewayConfig,
        reader: PartReader,
        kept: HintedCache,
        pins: PinBoard,
    ) -> None:
        self._fleet = fleet
        self._pages = pages
        self._pins = pins
        self._reader = reader
        self._kept = kept
        self._metrics = metrics
        self._names = reader.names
        self._seconds = config.upstream.list_seconds
        self._max_ttl_ms = config.lists.max_ttl_ms

    async def answer(self, call: Call) -> RawObject:
        """Everything that the servers list, on one page; `_meta` names servers whose part is missing.

        Raises:
            RpcError: the caller sent a cursor, of which we never give one out.
        """
        refuse_cursor(call)
        return self.page(await self.gather(call))

    async def gather(self, call: Call) -> Listed:
        """What the servers list for the caller."""
        kind = LISTS[call.method]
        servers = [server for server in self._fleet.servers.values() if call.view.sees(server.name)]
        parts = await self._parts(servers, call, kind)
        items: dict[str, RawObject] = {}
        missing: dict[str, str] = {}
        for server, (part, _) in zip(servers, parts, strict=True):
            items |= self._visible(call, kind, server, part)
            if part.problem is not None:
                missing[server.name] = part.problem
                self._metrics.missing.labels(server.name).inc()
        # An incomplete list must not be kept: the missing server may be back at once.
        ttl_ms = 0 if missing else min((ttl_ms for _, ttl_ms in parts), default=0)
        public = not call.view.restricted and not missing and all(part.public for part, _ in parts)
        return Listed(kind, items, ttl_ms, public, missing)

    def page(self, listed: Listed) -> RawObject:
        """The result that shows this."""
        result = {
            listed.kind.items: raw([listed.items[name] for name in sorted(listed.items)]),
            "ttlMs": raw(min(listed.ttl_ms, self._max_ttl_ms)),
            "cacheScope": raw("public" if listed.public else "private"),
        }
        if listed.missing:
            result["_meta"] = raw({MISSING_SERVERS_META: listed.missing})
        return result

    async def schema_of(self, server: Server, tool: str, call: Call) -> msgspec.Raw | None:
        """The input schema that a server lists for its tool, asked for on behalf of `call`."""
        part = await self._tools_of(server, call)
        item = part.items.get(self._names.qualify(server.name, tool), {})
        return item.get("inputSchema")

    async def learn(self, server: Server, call: Call) -> str | None:
        """Have a server list its tools on behalf of `call`, so that it is known what it says of them.

        Returns:
            What went wrong where it doesn't.
        """
        part = await self._tools_of(server, call)
        if server.cache_rules is None:
            server.cache_rules = {}  # it can't tell now; its next list will
        return part.problem

    async def _tools_of(self, server: Server, call: Call) -> Part:
        listing = replace(call, method="tools/list", params={}, on_event=None)
        ((part, _),) = await self._parts([server], listing, LISTS["tools/list"])
        return part

    async def _parts(self, servers: list[Server], call: Call, kind: ListKind) -> list[tuple[Part, int]]:
        """Each server's part, and for how many milliseconds it is fresh."""
        told = circumstances(call)
        what = [item for item in sorted(call.params.items()) if item[0] not in _NOT_OF_THE_LIST]
        asked = [self._kept.asked(cached.Kind.LISTS, call, it, what, told) for it in servers]
        found = [self._kept.peek(it) for it in asked]
        if not all(found):
            # Those that aren't in memory, at once; tasks for those that are would cost more than the rest.
            rest = (self._obtain(it, call, kind) for it, part in zip(asked, found, strict=True) if not part)
            obtained = iter(await asyncio.gather(*rest))
            found = [part or next(obtained) for part in found]
        return [self._noted(server, call, part) for server, part in zip(servers, found, strict=True) if part]

    def _noted(self, server: Server, call: Call, found: Found[Part]) -> tuple[Part, int]:
        """A part, what it says of the server's tools being remembered."""
        part = found.value
        if call.method == "tools/list" and part.problem is None:
            server.repeatable_tools = part.repeatable
            server.hints.learn(part.hints)
            server.cache_rules = part.cache_rules
            server.task_tools = part.task_tools
            if found.where != cached.Level.MEMORY:
                for name in part.items:
                    self._metrics.known_tools.admit(name)
        return part, int(found.seconds_left * 1000) if found.seconds_left else part.ttl_ms or 0

    async def _obtain(self, asked: Asked, call: Call, kind: ListKind) -> Found[Part]:
        server = asked.server

        async def ask() -> Told[Part]:
            part = await self._ask(server, call, kind)
            ttl_ms = 0 if part.problem else part.ttl_ms or 0
            return Told(part, ttl_ms, part.public, self._reader.write, failed=part.problem is not None)

        def read(blob: bytes) -> Part:
            return self._reader.read(blob, server.name, kind)

        return await self._kept.obtain(asked, ask, read, lambda part: len(part.items))

    async def _ask(self, server: Server, call: Call, kind: ListKind) -> Part:
        part = Part()
        try:
            async with asyncio.timeout(self._seconds):
                await self._fill(part, server, call, kind)
        except TimeoutError:
            part.problem = f"no answer within {self._seconds:g} s"
        except RpcError as error:
            if error.code == METHOD_NOT_FOUND:
                # A server without prompts (say) isn't missing from the list of prompts.
                part.ttl_ms = self._max_ttl_ms
            else:
                part.problem = error.message
        except (KeyError, *DECODE_ERRORS):
            part.problem = "answered with a list that isn't one"
        if part.problem is not None:
            part.items = {}
            get_logger().warning(
                "list incomplete", method=call.method, server=server.name, reason=part.problem
            )
        return part

    async def _fill(self, part: Part, server: Server, call: Call, kind: ListKind) -> None:
        """Collect all pages of one server."""
        async for page in self._pages.of(server, call, kind.items):
            self._reader.add_page(part, server.name, page, kind)

    def _visible(self, call: Call, kind: ListKind, server: Server, part: Part) -> dict[str, RawObject]:
        """The items that are there for the caller, also those that need scopes which the caller can get."""
        approved = part.items if part.problem else self._pins.sift(server, kind.kind, part.items)
        if not call.view.restricted:
            return approved
        split = self._names.split_uri if kind.kind is Kind.RESOURCE else self._names.split
        return {
            qualified: item
            for qualified, item in approved.items()
            if call.view.decide(kind.kind, server.name, split(qualified)[1]).allowed
        }
