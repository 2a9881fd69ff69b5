"""tools/call, prompts/get and resources/read: found by the name's prefix, passed to that server, and back."""

import msgspec

from services.gateway.call import Call
from services.gateway.eras import NAMING_PARAMETER
from services.gateway.errors import RpcError, UpstreamError
from services.gateway.fleet import Fleet, Server
from services.gateway.messages import DECODE_ERRORS, Incoming, RawObject, raw
from services.gateway.metrics import GatewayMetrics
from services.gateway.names import Names
from services.gateway.questions import question
from services.gateway.results import ResultQualifier
from services.gateway.targets import Targets
from services.gateway.upstream import Question, Upstreams
from services.kit.metrics import ErrorType


class Forwarder:
    """Sends calls to the server that they name."""

    def __init__(self, fleet: Fleet, upstreams: Upstreams, metrics: GatewayMetrics, names: Names) -> None:
        self._fleet = fleet
        self._names = names
        self._results = ResultQualifier(names)
        self._targets = Targets(names)
        self._upstreams = upstreams
        self._metrics = metrics

    async def forward(self, call: Call) -> RawObject:
        """The server's result, its URIs qualified.

        Raises:
            RpcError: the name is unknown, the server can't be asked, or it answered with an error.
        """
        server, name = self._find(call)
        asked = question(call, {NAMING_PARAMETER[call.method]: name}, name=name)
        if call.method == "tools/call":
            reply = await self._call_tool(server, name, asked)
        else:
            reply = await self._upstreams.ask(server, asked)
        result = _result(reply)
        try:
            self._results.qualify(call.method, server.name, result)
        except DECODE_ERRORS:
            raise UpstreamError(
                server.name, ErrorType.BAD_RESPONSE, "answered with a result that isn't of its method's shape"
            ) from None
        if call.method == "resources/read":
            result.setdefault("ttlMs", raw(0))
            result.setdefault("cacheScope", raw("private"))
        return result

    def _find(self, call: Call) -> tuple[Server, str]:
        target = self._targets.one(call.method, call.params)
        server = self._fleet.get(target.server)
        if server is None or not target.name:
            raise target.unknown()
        call.server, call.target = server.name, target.name
        return server, target.name

    async def _call_tool(self, server: Server, tool: str, asked: Question) -> Incoming:
        qualified = self._names.qualify(server.name, tool)
        known = self._metrics.known_tools
        with self._metrics.tools.call(server.name, known.label(qualified, tool)) as measured:
            try:
                reply = await self._upstreams.ask(server, asked)
            except UpstreamError as error:
                measured.failed(error.kind)
                raise
            if not isinstance(reply.result, dict):
                measured.failed(ErrorType.PROTOCOL)
            elif bytes(reply.result.get("isError", b"")) == b"true":
                measured.failed(ErrorType.TOOL)
            else:
                known.admit(qualified)
                measured.tool = tool
        return reply


def _result(reply: Incoming) -> RawObject:
    if isinstance(reply.result, dict):
        return reply.result
    error = reply.error
    assert error  # noqa: S101 - `Upstreams.ask` returns only responses; this tells the type checker
    data = error.data if isinstance(error.data, msgspec.Raw) else None
    raise RpcError(error.code, error.message, data)
