"""The real server process, the official client, both protocol revisions."""

import asyncio
import base64
import fcntl
import http.client
import json
import os
import signal
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

REVISIONS = {"auto": "2026-07-28", "legacy": "2025-11-25"}
"""How the client connects, and what it then speaks."""

READING = {"read_file", "list_directory", "search_files", "get_file_info", "list_allowed_directories"}
WRITING = {"write_file", "create_directory", "move_file", "delete_file"}


def talk(url: str, revision: str, conversation: Callable[[Client], Awaitable[None]]) -> None:
    async def go() -> None:
        async with Client(url, mode=revision) as client:
            assert client.protocol_version == REVISIONS[revision]
            await conversation(client)

    asyncio.run(go())


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310 - our own server on loopback
        return response.read().decode()


@pytest.mark.parametrize("revision", REVISIONS)
def test_echo(echo_server: Any, revision: str) -> None:
    async def conversation(client: Client) -> None:
        assert client.server_info is not None
        assert client.server_info.name == "echo"
        tools = (await client.list_tools()).tools
        assert [tool.name for tool in tools] == ["echo", "add"]
        assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools)
        assert tools[1].input_schema["required"] == ["a", "b"]
        assert (await client.call_tool("echo", {"text": "hello"})).structured_content == {"result": "hello"}
        assert (await client.call_tool("add", {"a": 1, "b": 2.5})).structured_content == {"result": 3.5}
        (contents,) = (await client.read_resource("echo://about")).contents
        assert "example server" in contents.text  # pyright: ignore[reportAttributeAccessIssue] - text, as declared
        prompt = await client.get_prompt("repeat_after_me", {"text": "hello"})
        assert prompt.messages[0].content.text.endswith("hello")  # pyright: ignore[reportAttributeAccessIssue] - as above

    talk(echo_server.url, revision, conversation)


@pytest.mark.parametrize("revision", REVISIONS)
def test_errors_have_one_shape(echo_server: Any, revision: str) -> None:
    async def conversation(client: Client) -> None:
        for name, arguments, message in (
            ("nothing", {}, "Unknown tool: nothing"),
            ("add", {"a": 1}, "wrong arguments for add: b is missing"),
            ("add", {"a": 1, "b": 2, "c": 3}, "wrong arguments for add: there is no argument c"),
            (
                "add",
                {"a": "one", "b": 2},
                "wrong arguments for add: a must be a valid number, unable to parse string",
            ),
        ):
            result = await client.call_tool(name, arguments)
            assert result.is_error
            assert message in result.content[0].text  # pyright: ignore[reportAttributeAccessIssue] - text
        with pytest.raises(MCPError) as error:
            await client.read_resource("echo://nothing")
        assert error.value.error.code == -32602

    talk(echo_server.url, revision, conversation)


@pytest.mark.parametrize("revision", REVISIONS)
def test_files(start_server: Any, tmp_path: Path, revision: str) -> None:
    server = start_server(
        "filesystem", FILESYSTEM_ROOTS=str(tmp_path), MCP_SERVER_NAME="docs", MCP_SERVER_VERSION="9.8"
    )

    async def conversation(client: Client) -> None:
        async def ok(tool: str, **arguments: Any) -> Any:
            result = await client.call_tool(tool, arguments)
            assert not result.is_error, result
            return result.structured_content

        assert client.server_info is not None
        assert (client.server_info.name, client.server_info.version) == ("docs", "9.8")
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == READING | WRITING
        for name, tool in tools.items():
            assert tool.annotations is not None
            assert tool.output_schema is not None
            assert tool.annotations.read_only_hint is (name in READING)
            assert tool.annotations.destructive_hint is (name in WRITING - {"create_directory"})
            assert tool.annotations.open_world_hint is False
        await ok("create_directory", path="a/b")
        await ok("write_file", path="a/b/c.txt", content="grün")
        await ok("write_file", path="a/b/c.txt", content="er", mode="append")
        assert (await ok("read_file", path="a/b/c.txt"))["content"] == "grüner"
        assert [entry["name"] for entry in (await ok("list_directory", path="a/b"))["entries"]] == ["c.txt"]
        assert (await ok("search_files", path=".", pattern="*.txt", content="ner"))["matches"][0]["line"] == 1
        await ok("move_file", source="a/b/c.txt", destination="d.txt")
        assert (await ok("get_file_info", path="d.txt"))["size"] == 7
        assert (await ok("list_allowed_directories"))["directories"] == [str(tmp_path)]
        refused = await client.call_tool("read_file", {"path": "../x"})
        assert refused.is_error
        (text,) = (await client.read_resource(f"file://{tmp_path}/d.txt")).contents
        assert (text.text, text.mime_type) == ("grüner", "text/plain")  # pyright: ignore[reportAttributeAccessIssue] - text
        (tmp_path / "binary").write_bytes(b"\xff")
        (blob,) = (await client.read_resource(f"file://{tmp_path}/binary")).contents
        assert (base64.b64decode(blob.blob), blob.mime_type) == (b"\xff", "application/octet-stream")  # pyright: ignore[reportAttributeAccessIssue] - binary
        assert (await client.list_resource_templates()).resource_templates[
            0
        ].uri_template == "file:///{+path}"
        (folders,) = (await client.read_resource("filesystem://directories")).contents
        assert json.loads(folders.text)["directories"] == [str(tmp_path)]  # pyright: ignore[reportAttributeAccessIssue] - text
        await ok("delete_file", path="d.txt")

    talk(server.url, revision, conversation)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "binary"]


@pytest.mark.parametrize("revision", REVISIONS)
def test_read_only_mode_has_no_tool_that_changes_anything(
    start_server: Any, tmp_path: Path, revision: str
) -> None:
    (tmp_path / "file.txt").write_text("as it was")
    server = start_server("filesystem", FILESYSTEM_ROOTS=str(tmp_path), FILESYSTEM_READ_ONLY="true")

    async def conversation(client: Client) -> None:
        assert {tool.name for tool in (await client.list_tools()).tools} == READING
        for tool, arguments in {
            "write_file": {"path": "new", "content": "x"},
            "create_directory": {"path": "new"},
            "move_file": {"source": "file.txt", "destination": "new"},
            "delete_file": {"path": "file.txt"},
        }.items():
            result = await client.call_tool(tool, arguments)
            assert result.is_error
            assert f"Unknown tool: {tool}" in result.content[0].text  # pyright: ignore[reportAttributeAccessIssue] - text
        assert (await client.call_tool("read_file", {"path": "file.txt"})).content[0].text == "as it was"  # pyright: ignore[reportAttributeAccessIssue] - text

    talk(server.url, revision, conversation)
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]


def test_the_largest_file_goes_through_and_a_larger_request_is_413(start_server: Any, tmp_path: Path) -> None:
    server = start_server(
        "filesystem", FILESYSTEM_ROOTS=str(tmp_path), FILESYSTEM_MAX_READ_BYTES=str(10 * 1024 * 1024)
    )
    largest = 10 * 1024 * 1024

    async def conversation(client: Client) -> None:
        content = base64.b64encode(os.urandom(largest)).decode()
        written = await client.call_tool(
            "write_file", {"path": "big", "content": content, "encoding": "base64"}
        )
        assert not written.is_error
        read = await client.call_tool("read_file", {"path": "big"})
        assert read.structured_content is not None
        assert read.structured_content["content"] == content

    talk(server.url, "auto", conversation)
    connection = http.client.HTTPConnection("127.0.0.1", server.started["port"], timeout=10)
    connection.putrequest("POST", "/mcp")
    for name, value in {"Content-Type": "application/json", "Content-Length": str(3 * largest)}.items():
        connection.putheader(name, value)
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_metrics_health_and_logs_tell_what_happened(start_server: Any, tmp_path: Path) -> None:
    server = start_server("filesystem", FILESYSTEM_ROOTS=str(tmp_path), LOG_LEVEL="INFO")

    async def conversation(client: Client) -> None:
        await client.call_tool("list_directory", {"path": "."})
        await client.call_tool("read_file", {"path": "/etc/passwd"})
        for name in ("made_up_1", "made_up_2"):
            await client.call_tool(name, {})

    talk(server.url, "auto", conversation)
    metrics = get(f"{server.ops_url}/metrics").splitlines()
    assert 'mcp_tool_calls_total{server="filesystem",status="ok",tool="list_directory"} 1.0' in metrics
    assert (
        'mcp_tool_errors_total{error_type="tool_error",server="filesystem",tool="read_file"} 1.0' in metrics
    )
    assert (
        'mcp_tool_errors_total{error_type="protocol_error",server="filesystem",tool="other"} 2.0' in metrics
    )
    assert 'mcp_tool_duration_seconds_count{server="filesystem",tool="read_file"} 1.0' in metrics
    assert not any("made_up" in line for line in metrics)
    for probe in ("live", "ready", "started"):
        get(f"{server.ops_url}/health/{probe}")
    assert json.loads(get(f"{server.ops_url}/health/ready"))["checks"] == {str(tmp_path): "ok"}

    def logged() -> list[dict[str, Any]]:
        found = [line for line in server.lines if line["event"] == "tool call"]
        return found if len(found) >= 4 else []

    calls = server.wait_for(logged, "lines of four calls")
    assert [(line["tool"], line["status"]) for line in calls] == [
        ("list_directory", "ok"),
        ("read_file", "error"),
        ("other", "error"),
        ("other", "error"),
    ]
    assert all(line["service"] == "filesystem" and line["request_id"] for line in calls)
    assert len({line["request_id"] for line in calls}) == 4
    refusal = next(line for line in server.lines if "/etc/passwd" in line["event"])
    assert refusal["request_id"] == calls[1]["request_id"]


def running(server: Any) -> float:
    """How many calls of tools it works on."""
    lines = get(f"{server.ops_url}/metrics").splitlines()
    counts = [line.rpartition(" ")[2] for line in lines if line.startswith("mcp_tool_calls_in_flight{")]
    return sum(map(float, counts))


def is_ready(server: Any) -> bool:
    try:
        get(f"{server.ops_url}/health/ready")
    except urllib.request.HTTPError as error:
        assert error.code == 503  # noqa: PT017 - anything else is a fault
        return False
    return True


def test_sigterm_lets_a_running_call_finish(start_server: Any, tmp_path: Path) -> None:
    (tmp_path / "locked").touch()
    server = start_server("filesystem", FILESYSTEM_ROOTS=str(tmp_path))

    async def conversation(client: Client) -> None:
        append = {"path": "locked", "content": "x", "mode": "append"}
        await client.list_tools()  # which the client would do by itself, to check the answer by its schema
        with (tmp_path / "locked").open("a") as holder:
            fcntl.flock(holder, fcntl.LOCK_EX)
            call = asyncio.create_task(client.call_tool("write_file", append))
            await asyncio.to_thread(server.wait_for, lambda: running(server) == 1, "the call")
            server.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(server.wait_for, lambda: not is_ready(server), "draining")
            assert not call.done()
        assert not (await call).is_error

    talk(server.url, "auto", conversation)
    assert server.process.wait(20) == 0
    assert (tmp_path / "locked").read_text() == "x"
    server.wait_for(lambda: "draining" in {line["event"] for line in server.lines}, "the line about it")


def test_a_slow_folder_holds_up_no_other_call(start_server: Any, tmp_path: Path) -> None:
    """Appends that wait for a lock sit in threads; what the loop answers is not behind them."""
    (tmp_path / "locked").touch()
    server = start_server("filesystem", FILESYSTEM_ROOTS=str(tmp_path), TOOL_TIMEOUT="5", TOOL_THREADS="2")

    async def conversation(client: Client) -> None:
        append = {"path": "locked", "content": "x", "mode": "append"}
        waiting = [asyncio.create_task(client.call_tool("write_file", append)) for _ in range(4)]
        await asyncio.to_thread(server.wait_for, lambda: running(server) == 4, "the calls")
        assert not (await client.call_tool("list_allowed_directories", {})).is_error
        assert not any(call.done() for call in waiting)
        for result in await asyncio.gather(*waiting):
            assert "write_file did not finish within 5 s and was given up" in result.content[0].text  # pyright: ignore[reportAttributeAccessIssue] - text
        assert not (
            await client.call_tool("list_directory", {"path": "."})
        ).is_error  # the threads are free again

    with (tmp_path / "locked").open("a") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        talk(server.url, "auto", conversation)
    errors = 'mcp_tool_errors_total{error_type="timeout",server="filesystem",tool="write_file"} 4.0'
    assert errors in get(f"{server.ops_url}/metrics")
    assert (tmp_path / "locked").read_text() == ""
