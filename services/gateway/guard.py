"""Refuses requests before their content matters: foreign hosts and origins, odd headers, big bodies."""

import asyncio
from collections.abc import Iterable
from typing import Final

from services.gateway.config import LOOPBACK_HOSTS, GatewayConfig
from services.gateway.errors import HEADER_MISMATCH, HttpRefusal
from services.kit.asgi import Receive, Scope
from services.kit.http_protocol import CLOSE

_SINGLE: Final = frozenset(
    {
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"host",
        b"origin",
        b"transfer-encoding",
    }
)
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})
"""Where the next request on the connection begins is not sure then: RFC 9112, 6.1 has it closed."""
_ROUTING: Final = frozenset({b"mcp-protocol-version", b"mcp-method", b"mcp-name"})
PARAMETER_PREFIX: Final = b"mcp-param-"
"""Headers that repeat a tool's parameters."""
_JSON: Final = b"application/json"
_STREAM: Final = b"text/event-stream"
_LONGEST_NUMBER: Final = 18


class ClientGoneError(Exception):
    """The caller closed the connection."""


class Guard:
    """Checks by the configuration."""

    def __init__(self, config: GatewayConfig) -> None:
        limits = config.requests
        hosts = limits.allowed_hosts
        if hosts is None and config.listen.is_loopback:
            # A web page could otherwise reach us under a name of its own (DNS rebinding).
            hosts = LOOPBACK_HOSTS
        self._hosts = None if hosts is None else frozenset(host.lower() for host in hosts)
        self._origins = frozenset(limits.allowed_origins)
        self._local_origins = config.listen.is_loopback
        self._max_body = limits.max_body_bytes
        self._body_seconds = limits.body_seconds

    def headers(self, scope: Scope) -> dict[bytes, bytes]:
        """The request's headers, lower case, without the white space that httptools leaves.

        Raises:
            HttpRefusal: one that decides anything is there twice (400), the Host isn't ours (421), or the
                Origin isn't allowed (403).
        """
        headers: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name in headers:
                _check_repeated(name)
            headers[name] = value.strip(b" \t")
        self._check_host(headers.get(b"host", b"").decode("latin-1").lower())
        if b"origin" in headers:
            self._check_origin(headers[b"origin"].decode("latin-1"))
        return headers

    def _check_host(self, host: str) -> None:
        if self._hosts is not None and not {host, _without_port(host)} & self._hosts:
            raise _refused(421, "this Host isn't served here", "host")

    def _check_origin(self, origin: str) -> None:
        if origin in self._origins:
            return
        _, _, host = origin.lower().partition("://")
        if not (self._local_origins and _without_port(host) in LOOPBACK_HOSTS):
            raise _refused(403, "this Origin isn't allowed", "origin")

    async def body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        """The whole body.

        Raises:
            HttpRefusal: it isn't plain JSON (415), is too large (413) or too slow (408).
            ClientGoneError: the caller left.
        """
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind != _JSON:
            raise _refused(415, "Content-Type must be application/json", "content_type")
        if headers.get(b"content-encoding", b"identity") != b"identity":
            raise _refused(415, "Content-Encoding isn't supported", "content_encoding")
        length = headers.get(b"content-length", b"0")
        if not length.isdigit():
            raise _refused(400, "Content-Length must be a number", "content_length")
        if len(length) > _LONGEST_NUMBER or int(length) > self._max_body:
            raise self._too_large()
        try:
            async with asyncio.timeout(self._body_seconds):
                return await self._read(receive)
        except TimeoutError:
            message = f"the body wasn't sent within {self._body_seconds:g} s"
            raise _refused(408, message, "slow_body") from None

    async def _read(self, receive: Receive) -> bytes:
        chunks: list[bytes] = []
        size = 0
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                raise ClientGoneError
            chunk = event.get("body", b"")
            size += len(chunk)
            if size > self._max_body:
                raise self._too_large()
            chunks.append(chunk)
            if not event.get("more_body", False):
                return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _too_large(self) -> HttpRefusal:
        return _refused(413, f"the body is larger than {self._max_body} bytes", "body_size")


def _check_repeated(name: bytes) -> None:
    """Of two values, we might go by one and a server or proxy by the other."""
    if name in _ROUTING or name.startswith(PARAMETER_PREFIX):
        raise _refused(400, f"the header {name.decode()} is there twice", "duplicate_header", HEADER_MISMATCH)
    if name in _SINGLE:
        message = f"the header {name.decode()} is there twice"
        closing = (CLOSE,) if name in _FRAMING else ()
        raise HttpRefusal(400, message, reason="duplicate_header", headers=closing)


def takes_stream(headers: dict[bytes, bytes]) -> bool:
    """Whether the answer may be a stream of events.

    Raises:
        HttpRefusal: neither JSON nor anything is accepted (406).
    """
    accept = headers.get(b"accept")
    if accept is None:
        return False
    if not _any_in((_JSON, b"application/*", b"*/*"), accept):
        raise _refused(406, "Accept must include application/json", "accept")
    return _STREAM in accept


def asks_for_stream(headers: dict[bytes, bytes]) -> bool:
    """Whether a GET is one for a stream of events."""
    return _STREAM in headers.get(b"accept", b"")


def _any_in(options: Iterable[bytes], value: bytes) -> bool:
    return any(option in value for option in options)


def _without_port(host: str) -> str:
    name, _, port = host.rpartition(":")
    return name if name and port.isdigit() else host


def _refused(status: int, message: str, reason: str, code: int | None = None) -> HttpRefusal:
    refusal = HttpRefusal(status, message, reason=reason)
    return refusal if code is None else HttpRefusal(status, message, reason=reason, code=code)
