"""`ToolServer`: the official SDK's server with what every server of the platform must have around a call.

Tools, resources and prompts are declared as with the SDK: one decorated, typed function each. Plain `def`
functions run in a bounded pool of threads. Every tool call is limited in time, counted, timed and logged, and
arguments that the tool does not have are an error instead of being dropped.
"""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Final, TypeVar

import anyio
from mcp.server import MCPServer
from mcp.server.caching import CacheableMethod, CacheHint
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ResourceError, ToolError
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult, InputRequiredResult, ToolAnnotations
from pydantic import AnyUrl, ValidationError

from services.kit.logs import get_logger
from services.kit.metrics import ErrorType, KnownNames, ToolCall, ToolMetrics, new_registry
from services.servers.kit.blocking import Threads
from services.servers.kit.failures import error_type, wrong_arguments
from services.servers.kit.settings import ServerSettings

F = TypeVar("F", bound=Callable[..., Any])

READ_ONLY: Final = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
"""For tools that change nothing and reach nothing beyond what the server holds."""

_SAME_FOR_ALL: Final = CacheHint(ttl_ms=5_000, scope="public")
_CACHE_HINTS: Final[dict[CacheableMethod, CacheHint]] = {
    # A server's lists change only with its process, but a client must see a new version soon.
    "server/discover": _SAME_FOR_ALL,
    "tools/list": _SAME_FOR_ALL,
    "prompts/list": _SAME_FOR_ALL,
    "resources/list": _SAME_FOR_ALL,
    "resources/templates/list": _SAME_FOR_ALL,
}


class ToolServer(MCPServer[Any]):
    """An MCP server named `name` unless `MCP_SERVER_NAME` says otherwise."""

    def __init__(self, name: str, settings: ServerSettings, *, title: str, instructions: str) -> None:
        super().__init__(
            settings.mcp_server_name or name,
            title=title,
            instructions=instructions,
            version=settings.mcp_server_version,
            cache_hints=_CACHE_HINTS,
            subscriptions=False,  # nothing here tells of changes
        )
        self.registry = new_registry()
        self._timeout = settings.tool_timeout
        self._threads = Threads(settings.tool_threads)
        self._closing = ExitStack()
        self._metrics = ToolMetrics(self.registry)
        self._tool_names = KnownNames()

    def on_close(self, callback: Callable[[], None]) -> None:
        """Have `close` call this after the last tool has ended; the last registered comes first."""
        self._closing.callback(callback)

    def close(self) -> None:
        """Wait for the tools' threads, then give back what the server holds."""
        self._threads.close()
        self._closing.close()

    def add_tool(self, fn: Callable[..., Any], *args: Any, **options: Any) -> None:  # noqa: ANN401 - the SDK's
        """Register a tool, as the `tool()` decorator does; the other arguments are the SDK's.

        Raises:
            ValueError: a tool of that name exists.
        """
        run = self._threads.wrap(fn)
        super().add_tool(run, *args, **options)
        tool = next((tool for tool in self._tool_manager.list_tools() if tool.fn is run), None)
        if tool is None:
            raise ValueError(f"two tools of {self.name} have the name of {fn.__name__}")
        _refuse_unknown_arguments(tool)
        self._tool_names.admit(tool.name)

    def resource(self, uri: str, **options: Any) -> Callable[[F], F]:  # noqa: ANN401 - the SDK's
        """Register a resource or, where `uri` has `{parameters}`, a template; `options` are the SDK's."""
        register = super().resource(uri, **options)

        def decorate(function: F) -> F:
            register(self._threads.wrap(function))
            return function

        return decorate

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool within the time limit, and count and log the call.

        Raises:
            ToolError: the tool failed, timed out, does not exist or was called wrongly: an error result.
            MCPError: a protocol error that the tool raised.
        """
        call = self._metrics.call(self.name, self._tool_names.label(name))
        try:
            with call:
                return await self._measured_call(call, name, arguments, context)
        except TimeoutError:
            raise ToolError(f"{name} did not finish within {self._timeout:g} s and was given up") from None
        finally:
            _log(call)

    async def _measured_call(
        self, call: ToolCall, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool within the time limit and note in `call` how it failed, if it does."""
        try:
            with anyio.fail_after(self._timeout):
                result = await super().call_tool(name, arguments, context)
        except BaseException as error:
            reason = error_type(error, known_tool=self._tool_manager.get_tool(name) is not None)
            call.failed(reason)
            if reason is ErrorType.PROTOCOL and isinstance(error.__cause__, ValidationError):
                raise wrong_arguments(name, error.__cause__) from error.__cause__
            raise
        if isinstance(result, CallToolResult) and result.is_error:
            call.failed(ErrorType.TOOL)
        return result

    async def read_resource(
        self, uri: AnyUrl | str, context: Context[Any, Any] | None = None
    ) -> Iterable[ReadResourceContents] | InputRequiredResult:
        """Read a resource within the time limit of a tool call.

        Raises:
            ResourceError: the resource does not exist, can't be read, or timed out: a protocol error.
        """
        try:
            with anyio.fail_after(self._timeout):
                found = await super().read_resource(uri, context)
        except TimeoutError:
            raise ResourceError(f"reading took longer than {self._timeout:g} s and was given up") from None
        return found if isinstance(found, InputRequiredResult) else [_named(item) for item in found]


def _named(item: ReadResourceContents) -> ReadResourceContents:
    """Don't call binary contents text, as the SDK does with a resource that declares no MIME type."""
    binary_as_text = isinstance(item.content, bytes) and item.mime_type == "text/plain"
    return replace(item, mime_type="application/octet-stream") if binary_as_text else item


def _refuse_unknown_arguments(tool: Tool) -> None:
    """Make a misspelt or invented argument an error; the SDK would drop it and run the tool without."""
    arguments = tool.fn_metadata.arg_model
    arguments.model_config["extra"] = "forbid"
    arguments.model_rebuild(force=True)
    tool.parameters = arguments.model_json_schema(by_alias=True)


def _log(call: ToolCall) -> None:
    """One line a call; arguments and results are the caller's data and stay out of it."""
    outcome = {"status": "error", "error_type": call.error} if call.error else {"status": "ok"}
    get_logger().info("tool call", tool=call.tool, seconds=round(call.seconds, 6), **outcome)
