"""A hop on loopback that adds a bearer token: the suite has no way to send one."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

CHUNK = 65_536


class Hop:
    """Takes HTTP/1.1 connections for a gateway on this machine; in a thread of its own.

    One line is added to the head of each request. All else passes as it comes, byte for byte and both ways:
    white space in headers, streams, and connections that end in the middle.
    """

    def __init__(self) -> None:
        self.port = 0
        self._target = 0
        self._line = b""
        self._ready = threading.Event()
        self._connections: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self._ready.wait()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def lead_to(self, port: int, token: str) -> None:
        """Say where requests go and what they bring."""
        self._target, self._line = port, f"Authorization: Bearer {token}\r\n".encode()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=CHUNK)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._connect(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # either side may leave; the other side hears of it
        finally:
            self._connections.discard(task)
            writer.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, requests = await asyncio.open_connection("127.0.0.1", self._target)
        ways = [
            asyncio.create_task(self._pass_requests(reader, requests)),
            asyncio.create_task(_pass(answers, writer)),
        ]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in done:
                way.result()
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            requests.close()

    async def _pass_requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            first, _, rest = head.partition(b"\r\n")
            writer.write(first + b"\r\n" + self._line + rest)
            left = _body_bytes(rest)
            while left:
                piece = await reader.read(min(left, CHUNK))
                if not piece:
                    return
                writer.write(piece)
                left -= len(piece)
            await writer.drain()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(CHUNK):
        writer.write(piece)
        await writer.drain()


def _body_bytes(headers: bytes) -> int:
    """How long a request's body is: the next request begins behind it."""
    length = 0
    for line in headers.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        assert name != b"transfer-encoding", "the hop passes on bodies with a Content-Length only"
        if name == b"content-length":
            length = int(value)
    return length
