"""uvicorn's httptools protocol, with bounds on requests' heads and on clients that don't read; no upgrades.

httptools collects header lines without a limit of size or time, so a client could fill memory or hold a
connection open for ever before any app code runs; the same goes for what surrounds the chunks of a body.
uvicorn takes any byte for the sign of another request, so a client could go on for ever with a body that was
refused long ago, or with blank lines. And a client that reads nothing of a response would keep what waits for
it, and whoever writes it, as long as it likes. And uvicorn ends a request that offers another protocol
(`Upgrade: h2c`, as Java's client does) after its head: the body would be lost or, worse, read as the next
request, which a proxy in front of us didn't see as one. We ignore the offer, as HTTP lets us.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from services.kit.logs import get_logger

HEAD_SECONDS: Final = 15.0
"""From a request's first byte (or the connection's start) to the end of its headers."""

CHUNK_BYTES: Final = 6
"""What a chunk of a single byte is on the wire: its length, its end, and the byte."""

_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
)


_INVALID: Final = "Invalid HTTP request received."


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a client may do before its connection is closed."""

    unread_seconds: float
    """The longest that it may leave unread what is sent to it."""
    max_head_bytes: int
    """Of a request's head, and of what surrounds the chunks of its body."""
    max_header_fields: int
    on_large_head: Callable[[], None]
    """Is told of each head that is refused."""


Door = Callable[[bytes], bytes | None]
"""Is shown each request's target as soon as its head is over: the bytes of a whole response refuse it."""


class HeadTooLargeError(Exception):
    """A request's head exceeds its bounds."""


LINGER_SECONDS: Final = 1
"""How long a connection whose client wasn't told is kept for its next request."""

CLOSE: Final = (b"connection", b"close")


class BoundedHttpProtocol(HttpToolsProtocol):
    """Closes connections whose request head is too large or too slow, or whose client doesn't read."""

    parser: httptools.HttpRequestParser
    _head_bytes = 0
    _in_head = True
    _idle_bytes = 0
    """Since the head, those that are neither body nor what chunks need: extensions and trailers."""
    _head_timer: asyncio.TimerHandle | None = None
    _unread_bytes = 0
    _unread_timer: asyncio.TimerHandle | None = None

    _turned_away = False
    """Whether the request at hand was refused at the door."""

    def __init__(
        self,
        *arguments: Any,  # noqa: ANN401 - uvicorn's own
        bounds: Bounds,
        door: Door | None = None,
        **options: Any,  # noqa: ANN401 - uvicorn's own
    ) -> None:
        super().__init__(*arguments, **options)
        self._bounds = bounds
        self._door = door

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A connection opened: its first request must begin soon."""
        super().connection_made(cast("asyncio.Transport", transport))
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, and with it all that was waited for.

        uvicorn goes on to wait for a next request where the client broke the connection, and keeps it all.
        """
        self._stop_timer()
        self._stop_unread_timer()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """More waits for the client than is good; it must go on reading."""
        super().pause_writing()
        self._watch_unread()

    def resume_writing(self) -> None:
        """The client has read."""
        self._stop_unread_timer()
        super().resume_writing()

    def send_away(self) -> None:
        """Say with the response in the making, if there is one, that it is the last on this connection."""
        self._door = None  # its refusals don't say so
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is not None and not cycle.response_started:
            cycle.default_headers = [*cycle.default_headers, CLOSE]

    def data_received(self, data: bytes) -> None:
        """Bytes came in: those of an unfinished head are counted."""
        if self._in_head:
            self._head_bytes += len(data)
        else:
            self._idle_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._go_on_without_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.logger.warning(_INVALID)
            self.send_400_response(_INVALID)
        if max(self._head_bytes if self._in_head else 0, self._idle_bytes) > self._bounds.max_head_bytes:
            self._refuse_head()

    def on_message_begin(self) -> None:
        """A request's first byte; any other says nothing of whether the connection is used."""
        self._unset_keepalive_if_required()
        super().on_message_begin()
        self._watch_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; what follows a body is dropped, since nobody asks for it."""
        if self._in_head:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._idle_bytes = max(0, self._idle_bytes - CHUNK_BYTES * len(body))
        if not self._turned_away:
            super().on_body(body)

    def on_headers_complete(self) -> None:
        """The head is over; what follows is the app's to bound."""
        if self.parser.should_upgrade():
            return
        self._stop_timer()
        self._in_head = False
        if self._head_is_too_large():
            self._refuse_head()
            raise HeadTooLargeError  # makes the parser stop; what uvicorn then answers goes nowhere
        if not self._turn_away():
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The body is over, too."""
        if not self.parser.should_upgrade() and not self._turned_away:
            super().on_message_complete()

    def _turn_away(self) -> bool:
        """Refuse the request if the door says so, unless one before it still waits for its answer."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        self._turned_away = False
        if self._door is None or (cycle is not None and not cycle.response_complete):
            return False
        if refusal := self._door(self.url):
            self._turned_away = True
            self.transport.write(refusal)
            if self.parser.should_keep_alive():
                self.timeout_keep_alive_task = self.loop.call_later(
                    self.timeout_keep_alive, self.timeout_keep_alive_handler
                )
            else:
                self.transport.close()
        return self._turned_away

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

    def _head_is_too_large(self) -> bool:
        if len(self.headers) > self._bounds.max_header_fields:
            return True
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        return size > self._bounds.max_head_bytes

    def _refuse_head(self) -> None:
        if self.transport.is_closing():
            return
        self._bounds.on_large_head()
        get_logger().warning("a request's head is too large", client=self.client, fields=len(self.headers))
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if self._in_head or cycle is None or not cycle.response_started:
            self.transport.write(_TOO_LARGE)
        self.transport.close()

    def _watch_head(self) -> None:
        self._in_head = True
        self._head_bytes = self._idle_bytes = 0
        self._stop_timer()
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._close_slow)

    def _close_slow(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

    def shutdown(self) -> None:
        """Close the connection once its client knows, or can be expected to.

        A response that has begun may have promised that more requests may follow. Closed right after it, the
        connection could break under the next one; so that is answered, and says that it is the last.
        """
        if self.cycle and self.cycle.response_started and not self.cycle.response_complete:
            self.timeout_keep_alive = LINGER_SECONDS
        else:
            super().shutdown()

    def _watch_unread(self) -> None:
        self._unread_bytes = self.transport.get_write_buffer_size()
        self._unread_timer = self.loop.call_later(self._bounds.unread_seconds, self._close_unread)

    def _close_unread(self) -> None:
        if self.transport.get_write_buffer_size() < self._unread_bytes:
            self._watch_unread()  # it is slow, but reads
            return
        get_logger().warning("a client doesn't read", client=self.client, bytes=self._unread_bytes)
        self.transport.abort()

    def _stop_unread_timer(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
