"""A TCP proxy that can be told to do harm."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from typing import Any, Literal

Mode = Literal["pass", "stall", "reset", "close", "half-close"]
RESET = struct.pack("ii", 1, 0)
"""Linger for no time: closing sends a reset."""


class Proxy:
    """Passes connections on to a port of this machine; in a thread of its own."""

    def __init__(self, port: int) -> None:
        self.mode: Mode = "pass"
        """Stall: nothing gets through. Reset, close: connections end so. Half-close: answers end, and the
        connection stays."""
        self.latency = 0.0
        """Seconds that each piece of an answer is late."""
        self.limit: int | None = None
        """So many bytes of answers pass on each connection; then it ends."""
        self.accepted = 0
        self.open = 0
        self.port = 0
        self._target = port
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self._ready.wait()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def cut(self, mode: Mode) -> None:
        """Change the mode, for connections that are open, too."""
        self.mode = mode
        if mode in {"reset", "close"}:
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()

    def _run(self) -> None:
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        self._cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self.open += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self.mode not in {"reset", "close"}:
                await self._connect(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # its end is what is wanted
        finally:
            self.open -= 1
            self._tasks.discard(task)
            _end(writer, reset=self.mode == "reset")

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            there = asyncio.create_task(self._pass(reader, target_writer))
            back = asyncio.create_task(self._pass(target_reader, writer, answers=True))
            try:
                await asyncio.wait([there, back], return_when=asyncio.FIRST_COMPLETED)
            finally:
                there.cancel()
                back.cancel()
                await asyncio.gather(there, back, return_exceptions=True)
        finally:
            _end(target_writer, reset=False)

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False
    ) -> None:
        passed = 0
        while data := await reader.read(65536):
            while self.mode == "stall":  # noqa: ASYNC110 - the mode is changed by another thread
                await asyncio.sleep(0.02)
            if answers and self.mode == "half-close":
                writer.write_eof()
                await asyncio.Event().wait()
            if answers and self.latency:
                await asyncio.sleep(self.latency)
            if answers and self.limit is not None:
                data = data[: self.limit - passed]
            writer.write(data)
            await writer.drain()
            passed += len(data)
            if answers and self.limit is not None and passed >= self.limit:
                return


def _end(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    if reset:
        found: socket.socket = writer.get_extra_info("socket")
        with contextlib.suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.close()
