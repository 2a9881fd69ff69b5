"""uvicorn's httptools protocol, with bounds on a request's head, and without upgrades.

httptools collects header lines without a limit of size or time, so a client could fill memory or hold a
connection open for ever before any app code runs. And it ends a request that offers another protocol
(`Upgrade: h2c`, as Java's client does) after its head: the body would be lost or, worse, read as the next
request, which a proxy in front of us didn't see as one. We ignore the offer, as HTTP lets us.
"""

import asyncio
from typing import Final, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES: Final = 64 * 1024
HEAD_SECONDS: Final = 15.0
"""From a request's first byte (or the connection's start) to the end of its headers."""

_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
)


_INVALID: Final = "Invalid HTTP request received."


class HeadTooLargeError(Exception):
    """A request's head exceeds `MAX_HEAD_BYTES`."""


class BoundedHttpProtocol(HttpToolsProtocol):
    """Closes connections whose request head is too large or too slow."""

    parser: httptools.HttpRequestParser
    _head_bytes = 0
    _in_head = True
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A connection opened: its first request must begin soon."""
        super().connection_made(cast("asyncio.Transport", transport))
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, and with it the wait for a head."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes came in: those of an unfinished head are counted."""
        if self._in_head:
            self._head_bytes += len(data)
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._go_on_without_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.logger.warning(_INVALID)
            self.send_400_response(_INVALID)
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse_head()

    def on_message_begin(self) -> None:
        """A request's first byte."""
        super().on_message_begin()
        self._watch_head()

    def on_headers_complete(self) -> None:
        """The head is over; what follows is the app's to bound."""
        if self.parser.should_upgrade():
            return
        self._stop_timer()
        self._in_head = False
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD_BYTES:
            self._refuse_head()
            raise HeadTooLargeError  # makes the parser stop; what uvicorn then answers goes nowhere
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The body is over, too."""
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def _go_on_without_upgrade(self, rest: bytes) -> None:
        """Read the request anew as if nothing was offered; `rest` is what followed its head."""
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        if method == b"CONNECT":
            self.send_400_response(_INVALID)
            return
        lines = [b"%s %s HTTP/%s" % (method, self.url, version)]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        self.data_received(b"\r\n".join(lines) + b"\r\n\r\n" + rest)

    def send_400_response(self, msg: str) -> None:
        """What uvicorn answers when parsing fails, unless the connection was refused already."""
        if not self.transport.is_closing():
            super().send_400_response(msg)

    def _refuse_head(self) -> None:
        self.transport.write(_TOO_LARGE)
        self.transport.close()

    def _watch_head(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        self._stop_timer()
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._close_slow)

    def _close_slow(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
