"""Lists that show the search, and the search itself: over what there is for the caller, and nothing else."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Final

import msgspec

from services.gateway.call import Call, tool_of
from services.gateway.config_search import Search
from services.gateway.errors import RpcError
from services.gateway.list_parts import LISTS
from services.gateway.lists import Listed, Lists, refuse_cursor
from services.gateway.messages import RawObject, encode, raw
from services.gateway.metrics import GatewayMetrics
from services.gateway.search import bm25
from services.gateway.search.definition import NAME, SearchError, definition, read
from services.gateway.search.documents import Documents
from services.gateway.targets import OWN_SERVER
from services.kit.conventions import ALL_TOOLS_META
from services.kit.logs import get_logger
from services.kit.metrics import ErrorType

_NO_ARGUMENTS: Final = msgspec.Raw(b"{}")
_TRUE: Final = msgspec.Raw(b"true")
_TOOLS_LIST: Final = "tools/list"

Answer = Callable[[Call], Awaitable[RawObject]]


class ToolSearch:
    """Answers `tools/list`, and `tools/call` where it names the search."""

    def __init__(self, settings: Search, lists: Lists, max_ttl_ms: int, metrics: GatewayMetrics) -> None:
        """Prepare.

        Args:
            settings: what lists show, and how much is found.
            lists: what there is for whom.
            max_ttl_ms: how long a list of nothing but the search is fresh.
            metrics: searches are counted there like calls of any tool.
        """
        self._settings = settings
        self._lists = lists
        self._documents = Documents()
        self._metrics = metrics
        self._definition = definition(settings)
        self._alone = Listed(
            kind=LISTS[_TOOLS_LIST],
            items={NAME: self._definition},
            ttl_ms=max_ttl_ms,
            public=True,
            missing={},
        )
        self._shadowed = False

    async def list(self, call: Call) -> RawObject:
        """What is shown: the search, and of all other tools those that are set to be.

        Raises:
            RpcError: the caller sent a cursor.
        """
        refuse_cursor(call)
        everything = bytes(call.meta.pop(ALL_TOOLS_META, b"")) == bytes(_TRUE) or self._settings.list_all
        shown = self._settings.always_listed
        if not everything and not shown:
            return self._lists.page(self._alone)
        listed = await self._gather(call)
        tools = {
            name: tool
            for name, tool in listed.items.items()
            if everything or any(fnmatchcase(name, pattern) for pattern in shown)
        }
        return self._lists.page(replace(listed, items={**tools, NAME: self._definition}))

    def around(self, answer: Answer) -> Answer:
        """`tools/call`; `answer` is how it is answered for all other tools."""

        async def call_tool(call: Call) -> RawObject:
            return await (self._call(call) if tool_of(call) == NAME else answer(call))

        return call_tool

    async def _call(self, call: Call) -> RawObject:
        call.server, call.target = OWN_SERVER, NAME
        with self._metrics.tools.call(OWN_SERVER, NAME) as measured:
            try:
                return await self._search(call)
            except RpcError:
                measured.failed(ErrorType.PROTOCOL)
                raise
            except SearchError as error:
                measured.failed(ErrorType.TOOL)
                call.error = ErrorType.TOOL
                return {"content": raw([{"type": "text", "text": str(error)}]), "isError": _TRUE}

    async def _search(self, call: Call) -> RawObject:
        words, limit = read(call.params.get("arguments", _NO_ARGUMENTS), self._settings)
        listed = await self._gather(replace(call, method=_TOOLS_LIST, params={}, on_event=None))
        tools = {name: listed.items[name] for name in sorted(listed.items)}
        places = bm25.best(await self._documents.of(tools), words, limit)
        names = list(tools)
        found: dict[str, object] = {"tools": [tools[names[place]] for place in places]}
        if listed.missing:
            found["missing"] = listed.missing
        content = encode(found)
        # As text as well, for clients that don't know of structured results.
        return {
            "content": raw([{"type": "text", "text": content.decode()}]),
            "structuredContent": msgspec.Raw(content),
        }

    async def _gather(self, call: Call) -> Listed:
        """All tools for the caller, without one of the search's name: who called it would call the search."""
        listed = await self._lists.gather(call)
        if listed.items.pop(NAME, None) is not None and not self._shadowed:
            self._shadowed = True
            get_logger().warning("server's tool has the name of the gateway's own and is hidden", name=NAME)
        return listed
