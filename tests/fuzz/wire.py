"""The gateway over raw sockets: what goes in needn't be HTTP, what comes out must be."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass, field

import httptools

from tests.fuzz.verdicts import PROBLEM, check_mcp, check_no_leak, check_page

IDLE_SECONDS = 0.2
"""How long to wait for more; the less comes in it, the less is checked."""
END_SECONDS = 20.0
"""How long to wait for an end that must come."""


@dataclass
class Response:
    """One response, as it came."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""


class Received:
    """What came back on one connection, read strictly."""

    def __init__(self) -> None:
        self.responses: list[Response] = []
        self.closed = False
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._now = Response()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._now.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._now.body += body

    def on_message_complete(self) -> None:
        self._now.status = self._parser.get_status_code()
        if self._now.status >= 200:
            self.responses.append(self._now)


def talk(port: int, *pieces: bytes, until: int | None = None, seconds: float = IDLE_SECONDS) -> Received:
    """Send the pieces, each as a packet of its own, and read until nothing more comes.

    Args:
        port: of 127.0.0.1.
        pieces: what to send.
        until: so many responses are enough.
        seconds: how long to wait for more.
    """
    received = Received()
    with socket.create_connection(("127.0.0.1", port), timeout=END_SECONDS) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(ConnectionError):  # refused already; the refusal is there to be read
            for piece in pieces:
                connection.sendall(piece)
        connection.settimeout(seconds)
        try:
            while until is None or len(received.responses) < until:
                data = connection.recv(65536)
                if not data:
                    received.closed = True
                    break
                received.feed(data)
        except TimeoutError:
            pass
        except ConnectionError:
            received.closed = True
    return received


def check(received: Received, sent: bytes) -> None:
    """Every response is one of the app's, or a refusal of the HTTP parser's."""
    for response in received.responses:
        kind = response.headers.get("content-type", "")
        if "x-request-id" not in response.headers:
            assert response.status in {400, 431}, response
            check_no_leak(response.body.decode(), sent)
        elif kind == PROBLEM:
            check_page(response.status, response.headers, response.body)
        else:
            check_mcp(response.status, response.headers, response.body, sent)


def request(
    body: bytes = b"", *lines: bytes, start: bytes = b"POST /mcp HTTP/1.1", length: bool = True
) -> bytes:
    """A request that nothing is wrong with, except for what is asked for."""
    head = [start, b"Host: localhost", b"Content-Type: application/json", *lines]
    if length:
        head.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(head) + b"\r\n\r\n" + body


PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
