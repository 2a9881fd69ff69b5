"""What the kit puts around a tool, by a server that is made of misbehaving ones."""

import asyncio
import contextvars
import threading
import time
from collections.abc import Generator
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, ErrorData, TextContent

from services.servers.kit import (
    READ_ONLY,
    AbandonedError,
    ServerSettings,
    ToolFailure,
    ToolServer,
    checkpoint,
)


class Misbehaving:
    """A server, and what its tools went through."""

    def __init__(self, tool_timeout: float) -> None:
        settings = ServerSettings(tool_timeout=tool_timeout, tool_threads=2)
        self.server = ToolServer("bad", settings, title="Bad", instructions="")
        self.begun = threading.Event()
        self.abandoned = threading.Event()
        self.cancelled = threading.Event()
        self.running = self.most_running = 0
        self.pairs = threading.Barrier(2, timeout=60)
        self.add_slow_tools(self.server)
        self.add_failing_tools(self.server)

    def add_slow_tools(self, server: ToolServer) -> None:

        @server.tool(annotations=READ_ONLY)
        def works_for_ever() -> str:
            self.begun.set()
            try:
                while True:
                    checkpoint()
                    time.sleep(0.01)
            except AbandonedError:
                self.abandoned.set()
                raise

        @server.tool()
        async def waits_for_ever() -> str:
            try:
                await anyio.sleep_forever()
            finally:
                self.cancelled.set()
            return ""

        @server.tool()
        def counts() -> int:
            self.running += 1
            self.most_running = max(self.running, self.most_running)
            self.pairs.wait()  # two run at a time, however busy the machine is
            self.pairs.wait()  # and both have counted themselves
            self.running -= 1
            return self.running

        @server.resource("bad://slow")
        async def slow() -> str:
            await anyio.sleep_forever()
            return ""

    def add_failing_tools(self, server: ToolServer) -> None:
        @server.tool()
        def fails() -> str:
            raise ToolFailure("what you can do about it")

        @server.tool()
        def crashes() -> str:
            raise RuntimeError("internal detail")

        @server.tool()
        async def raises_a_timeout_of_its_own() -> str:
            raise TimeoutError("internal detail")

        @server.tool()
        async def answers_with_an_error() -> CallToolResult:
            return CallToolResult(content=[TextContent(text="no")], is_error=True)

        @server.tool()
        async def protests() -> str:
            raise MCPError(code=-32099, message="protocol")

    def call(self, tool: str) -> CallToolResult:
        async def go() -> CallToolResult:
            async with Client(self.server) as client:
                result = await client.call_tool(tool, {})
                assert isinstance(result, CallToolResult)
                return result

        return asyncio.run(go())

    def errors(self) -> dict[tuple[str, str], float]:
        return {
            (sample.labels["tool"], sample.labels["error_type"]): sample.value
            for family in self.server.registry.collect()
            for sample in family.samples
            if sample.name == "mcp_tool_errors_total"
        }


@pytest.fixture
def bad() -> Generator[Misbehaving]:
    misbehaving = Misbehaving(60)
    yield misbehaving
    misbehaving.server.close()


@pytest.fixture
def limited() -> Generator[Misbehaving]:
    """With a time limit of 0.3 s."""
    misbehaving = Misbehaving(0.3)
    yield misbehaving
    misbehaving.server.close()


def text_of(result: CallToolResult) -> str:
    assert result.is_error
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


@pytest.mark.timeout(60)
@pytest.mark.parametrize("tool", ["works_for_ever", "waits_for_ever"])
def test_the_time_limit_ends_the_call_and_its_work(limited: Misbehaving, tool: str) -> None:
    assert text_of(limited.call(tool)) == f"{tool} did not finish within 0.3 s and was given up"
    ended = limited.abandoned if tool == "works_for_ever" else limited.cancelled
    assert ended.wait(30)
    assert limited.errors() == {(tool, "timeout"): 1}


@pytest.mark.parametrize(
    ("tool", "message", "error_type"),
    [
        ("fails", "Error executing tool fails: what you can do about it", "tool_error"),
        ("crashes", "Error executing tool crashes", "internal"),
        ("raises_a_timeout_of_its_own", "Error executing tool raises_a_timeout_of_its_own", "internal"),
        ("answers_with_an_error", "no", "tool_error"),
        ("not_there", "Unknown tool: not_there", "protocol_error"),
    ],
)
def test_failures_are_told_apart(bad: Misbehaving, tool: str, message: str, error_type: str) -> None:
    assert text_of(bad.call(tool)) == message
    assert bad.errors() == {("other" if tool == "not_there" else tool, error_type): 1}


def test_protocol_errors_stay_protocol_errors(bad: Misbehaving) -> None:
    async def go() -> None:
        with pytest.raises(MCPError) as error:
            await bad.server.call_tool("protests", {})
        assert error.value.error == ErrorData(code=-32099, message="protocol")

    asyncio.run(go())
    assert bad.errors() == {("protests", "protocol_error"): 1}


def test_threads_are_bounded(bad: Misbehaving) -> None:
    async def go() -> None:
        async with Client(bad.server) as client:
            await asyncio.gather(*(client.call_tool("counts", {}) for _ in range(8)))

    asyncio.run(go())
    assert bad.most_running == 2


def test_resources_have_the_time_limit_too(limited: Misbehaving) -> None:
    async def go() -> None:
        async with Client(limited.server) as client:
            with pytest.raises(MCPError, match=r"took longer than 0.3 s"):
                await client.read_resource("bad://slow")

    asyncio.run(go())


def test_a_caller_that_goes_away_ends_the_work(bad: Misbehaving) -> None:
    async def go() -> None:
        call = asyncio.create_task(bad.server.call_tool("works_for_ever", {}))
        assert await asyncio.to_thread(bad.begun.wait, 30)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(go())
    assert bad.abandoned.wait(30)
    assert bad.errors() == {("works_for_ever", "cancelled"): 1}


def test_two_tools_of_one_name_are_an_error(bad: Misbehaving) -> None:
    def fails() -> str:
        return "another"

    with pytest.raises(ValueError, match="two tools of bad have the name of fails"):
        bad.server.tool()(fails)


def test_a_tool_stays_an_ordinary_function(bad: Misbehaving) -> None:
    @bad.server.tool()
    def double(number: int) -> int:
        return 2 * number

    assert double(2) == 4


def test_blocking_tools_see_the_request_context(bad: Misbehaving) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

    @bad.server.tool()
    def seen() -> str:
        return variable.get()

    async def go() -> Any:
        variable.set("of this request")
        result = await bad.server.call_tool("seen", {})
        assert isinstance(result, CallToolResult)
        return result.structured_content

    assert asyncio.run(go()) == {"result": "of this request"}


def test_close_runs_what_was_registered(bad: Misbehaving) -> None:
    order: list[int] = []
    bad.server.on_close(lambda: order.append(1))
    bad.server.on_close(lambda: order.append(2))
    bad.server.close()
    assert order == [2, 1]
