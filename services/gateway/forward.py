"""Calls, gets, reads and completions: found by the name's prefix, passed to that server, and back."""

import asyncio
from dataclasses import replace
from functools import partial
from typing import Any, Final

import msgspec

from services.gateway.approval import Approvals
from services.gateway.authorization import Kind
from services.gateway.cache.reads import ReadCache
from services.gateway.cache.tools import ToolCache
from services.gateway.call import Call, Era
from services.gateway.content.filtering import ContentFilter
from services.gateway.errors import CONTENT_BLOCKED, HEADER_MISMATCH, RpcError, UpstreamError
from services.gateway.fleet import Fleet, Server
from services.gateway.lists import Lists
from services.gateway.messages import DECODE_ERRORS, Incoming, RawObject
from services.gateway.metrics import GatewayMetrics
from services.gateway.mirrored import mirrored_headers
from services.gateway.names import Names
from services.gateway.pinning.assembly import PinBoard
from services.gateway.questions import question
from services.gateway.results import ResultQualifier
from services.gateway.targets import Target, Targets
from services.gateway.upstream import Upstreams
from services.gateway.upstream_question import Question
from services.kit.metrics import ErrorType

_NO_ARGUMENTS: Final = msgspec.Raw(b"{}")
_REFERENCES: Final = {Kind.PROMPT: "ref/prompt", Kind.RESOURCE: "ref/resource"}
"""The type of `ref` in a completion."""


class Forwarder:
    """Sends calls to the server that they name."""

    def __init__(
        self,
        fleet: Fleet,
        upstreams: Upstreams,
        metrics: GatewayMetrics,
        names: Names,
        lists: Lists,
        tools: ToolCache,
        reads: ReadCache,
        content: ContentFilter,
        pins: PinBoard,
        approvals: Approvals,
    ) -> None:
        self._pins = pins
        self._content = content
        self._approvals = approvals
        self._fleet = fleet
        self._tools = tools
        self._reads = reads
        self._lists = lists
        self._names = names
        self._results = ResultQualifier(names)
        self._targets = Targets(names)
        self._upstreams = upstreams
        self._metrics = metrics

    async def forward(self, call: Call) -> RawObject:
        """The server's result, its URIs qualified, fresh or as it was kept.

        Raises:
            RpcError: the name is unknown, the server can't be asked, or it answered with an error.
        """
        server, target = await self._find(call)
        match call.method:
            case "tools/call":
                go = partial(self._call_tool, call, server, target)
                return await self._approvals.guard(call, server, target.name, go)
            case "resources/read":
                fetch = partial(self._fetch, call, server, target)
                return await self._reads.answer(call, server, target.name, fetch)
            case _:
                return await self._fetch(call, server, target)

    async def _fetch(
        self,
        call: Call,
        server: Server,
        target: Target,
        arguments: msgspec.Raw | None = None,
        *,
        followed: bool = True,
    ) -> RawObject:
        """Ask the server; see `services.gateway.cache.tools.Fetch`."""
        overrides: dict[str, Any] = {target.parameter: target.name}
        if arguments is not None:
            overrides["arguments"] = arguments
        asked = question(call, overrides, name=target.name)
        rule = self._content.rules.of(target)
        events = asked.on_event if followed else None
        asked.on_event = self._content.events(events, rule, server.name, target.qualified)
        asked.seconds, asked.background = call.seconds, call.seconds is not None
        if call.method == "tools/call":
            asked.repeatable = target.name in server.repeatable_tools
            reply = await self._ask_tool(call, server, target.name, asked)
        else:
            reply = await self._upstreams.ask(server, asked)
        result = await self._content.result(reply, rule, server.name, target.qualified)
        try:
            self._results.qualify(call.method, server.name, result)
        except DECODE_ERRORS:
            raise UpstreamError(
                server.name, ErrorType.BAD_RESPONSE, "answered with a result that isn't of its method's shape"
            ) from None
        return result

    async def complete(self, call: Call) -> RawObject:
        """Suggestions for an argument of a prompt or of a resource template, by the server that has it.

        Raises:
            RpcError: as `forward`.
        """
        server, target = await self._find(call)
        # Written anew, so that the server can't read another name in it than the one that was let through.
        reference = {"type": _REFERENCES[target.kind], target.parameter: target.name}
        reply = await self._upstreams.ask(server, question(call, {"ref": reference}))
        return await self._content.result(
            reply, self._content.rules.of(target), server.name, target.qualified
        )

    async def _find(self, call: Call) -> tuple[Server, Target]:
        target = self._targets.one(call.method, call.params)
        server = self._fleet.get(target.server)
        if server is None or not target.name:
            raise target.unknown()
        call.server, call.target = server.name, target.name
        await self._pins.admit(server, target)
        return server, target

    async def _call_tool(self, call: Call, server: Server, target: Target) -> RawObject:
        tool, qualified, known = target.name, target.qualified, self._metrics.known_tools
        with self._metrics.tools.call(server.name, known.label(qualified, tool)) as measured:
            try:
                fetch = partial(self._fetch, call, server, target)
                result = await self._tools.answer(call, server, tool, qualified, fetch)
            except asyncio.CancelledError:
                if call.overdue:
                    measured.failed(ErrorType.DEADLINE)
                raise
            except UpstreamError as error:
                measured.failed(error.kind)
                raise
            except RpcError as error:
                blocked = error.code == CONTENT_BLOCKED
                measured.failed(ErrorType.BLOCKED if blocked else ErrorType.PROTOCOL)
                raise
            if bytes(result.get("isError", b"")) == b"true":
                measured.failed(ErrorType.TOOL)
                call.error = ErrorType.TOOL
            else:
                known.admit(qualified)
                measured.tool = tool
        return result

    async def _ask_tool(self, call: Call, server: Server, tool: str, asked: Question) -> Incoming:
        reply = await self._upstreams.ask(server, asked)
        if call.era is Era.STATELESS or not reply.error or reply.error.code != HEADER_MISMATCH:
            return reply
        # Refused before it ran: the older generation doesn't know of parameters in headers.
        schema = await self._lists.schema_of(server, tool, call)
        headers = mirrored_headers(schema, call.params.get("arguments", _NO_ARGUMENTS)) if schema else {}
        if not headers:
            return reply
        again = replace(asked, headers={**asked.headers, **headers}, tried=[])
        return await self._upstreams.ask(server, again)
