"""An MCP server with one tool, `echo`, that can go wrong in many ways; in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from tests.faults.load import ARGUMENT
from tests.faults.proxy import RESET

Write = Callable[[bytes], Awaitable[None]]
SLOW_SECONDS: Final = 5.0
HUGE_BYTES: Final = 64 * 1024 * 1024
SCHEMA: Final = {"type": "object", "properties": {ARGUMENT: {"type": "string"}}}


class EndedError(Exception):
    """The connection is to end."""


class Backend:
    """Does to each tool call what `behaviour` says; everything else it answers well."""

    def __init__(self, behaviour: str = "ok", *, read_only: bool = False) -> None:
        self.behaviour = behaviour
        self.calls: list[float] = []
        """When tool calls came."""
        self.cancelled = 0
        """Calls whose caller left while they were worked on."""
        self.tool = {"name": "echo", "inputSchema": SCHEMA, "annotations": {"readOnlyHint": read_only}}
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self._ready.wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def close(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def _run(self) -> None:
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=512)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while True:
                await self._exchange(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError, EndedError):
            pass  # the connection is over, and that's all
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        request: dict[str, Any] = json.loads(await reader.readexactly(length))

        async def write(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        if request["method"] != "tools/call":
            await write(document(request["id"], self._result(request["method"])))
            return
        self.calls.append(time.monotonic())
        if self.behaviour == "reset":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            raise EndedError
        answering = asyncio.create_task(self._answer(request, write))
        leaving = asyncio.create_task(reader.read(1))
        try:
            await asyncio.wait([answering, leaving], return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                self.cancelled += 1
                raise EndedError
            answering.result()
        finally:
            answering.cancel()
            leaving.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)

    def _result(self, method: str) -> dict[str, Any]:
        lists = {"tools/list": {"tools": [self.tool]}, "prompts/list": {"prompts": []}}
        return {"ttlMs": 0, "cacheScope": "public", **lists.get(method, {})}

    async def _answer(self, request: dict[str, Any], write: Write) -> None:
        text = request["params"].get("arguments", {}).get(ARGUMENT, "")
        good = document(request["id"], {"content": [{"type": "text", "text": text}]})
        await WAYS[self.behaviour](good, write)


async def ok(good: bytes, write: Write) -> None:
    await write(good)


async def slow(good: bytes, write: Write) -> None:
    await asyncio.sleep(SLOW_SECONDS)
    await write(good)


async def black_hole(_good: bytes, _write: Write) -> None:
    await asyncio.Event().wait()


async def huge(_good: bytes, write: Write) -> None:
    await write(head_of("application/json", HUGE_BYTES))
    for _ in range(HUGE_BYTES // 65536):
        await write(b"x" * 65536)


async def huge_chunks(_good: bytes, write: Write) -> None:
    await write(head_of("application/json"))
    for _ in range(HUGE_BYTES // 65536):
        await write(chunk(b"x" * 65536))


async def garbage(_good: bytes, write: Write) -> None:
    await write(head_of("application/json", 9) + b'{"jsonrpc')


async def half_a_document(good: bytes, write: Write) -> None:
    await write(good[:-5])
    raise EndedError


async def half_a_stream(_good: bytes, write: Write) -> None:
    await write(head_of("text/event-stream") + chunk(b'data: {"jsonrpc":"2.0",'))
    raise EndedError


async def endless_stream(_good: bytes, write: Write) -> None:
    await write(head_of("text/event-stream"))
    while True:
        await write(chunk(b": still there\n\n"))
        await asyncio.sleep(0.05)


async def storm(_good: bytes, write: Write) -> None:
    await write(b"HTTP/1.1 503 Away\r\ncontent-type: text/plain\r\ncontent-length: 4\r\n\r\naway")


async def no_http(_good: bytes, write: Write) -> None:
    await write(b"\x16\x03\x01 what is this\r\n\r\n")
    raise EndedError


WAYS: Final[dict[str, Callable[[bytes, Write], Awaitable[None]]]] = {
    "ok": ok,
    "slow": slow,
    "black-hole": black_hole,
    "huge": huge,
    "huge-chunks": huge_chunks,
    "garbage": garbage,
    "half-a-document": half_a_document,
    "half-a-stream": half_a_stream,
    "endless-stream": endless_stream,
    "storm": storm,
    "no-http": no_http,
}
"""What becomes of a call, by behaviour; `reset` ends the connection before it comes to that."""


def document(number: int, result: dict[str, Any]) -> bytes:
    content = {"jsonrpc": "2.0", "id": number, "result": {"resultType": "complete", **result}}
    body = json.dumps(content).encode()
    return head_of("application/json", len(body)) + body


def head_of(kind: str, length: int | None = None) -> bytes:
    framing = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    return f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{framing}\r\n\r\n".encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)
