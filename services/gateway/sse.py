"""Server-sent events: reading a server's stream, writing ours."""

import re
from typing import Final

_LINE_END: Final = re.compile(rb"\r\n|\n|\r")

PING: Final = b": ping\n\n"
"""A comment: keeps the connection open and means nothing."""


class EventTooLargeError(Exception):
    """A single event exceeds what is kept in memory."""


class EventReader:
    """Cuts a stream of bytes into the data of its events."""

    def __init__(self, max_event_bytes: int) -> None:
        self._max = max_event_bytes
        self._partial: list[bytes] = []
        """Pieces of the line whose end hasn't come yet."""
        self._size = 0
        self._data: list[bytes] = []
        self._return = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        r"""The data of each event that `chunk` completes; comments and events without data yield nothing.

        Raises:
            EventTooLargeError: an event is larger than was allowed.
        """
        chunk = self._return + chunk
        # A "\r" at the end may be half of a "\r\n".
        self._return = b"\r" if chunk.endswith(b"\r") else b""
        first, *rest = _LINE_END.split(chunk.removesuffix(self._return))
        self._keep(first)
        events: list[bytes] = []
        for piece in rest:
            line = b"".join(self._partial)
            self._partial = []
            self._line(line, events)
            self._keep(piece)
        return events

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._max:
            raise EventTooLargeError
        self._partial.append(piece)

    def _line(self, line: bytes, events: list[bytes]) -> None:
        if not line:
            if self._data:
                events.append(b"\n".join(self._data))
            self._data = []
            self._size = 0
        elif line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))


def event(data: bytes) -> bytes:
    """An event that carries one JSON-RPC message."""
    return b"event: message\ndata: " + data.replace(b"\n", b"\ndata: ") + b"\n\n"
