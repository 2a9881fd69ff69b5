"""Errors as callers see them: JSON-RPC codes, and which HTTP status goes with each."""

from http import HTTPStatus
from typing import Any, Final

from services.kit.metrics import ErrorType

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
REQUEST_TIMEOUT: Final = -32001
"""What MCP's own SDKs use for "no answer in time"."""
UNAUTHORIZED: Final = -32010
FORBIDDEN: Final = -32011
REFUSED: Final = -32012
"""The HTTP request itself is refused: too large, foreign origin, wrong content type."""
RATE_LIMITED: Final = -32013
"""Too many requests, or no telling whether they are too many."""
UNAVAILABLE: Final = -32014
"""What the gateway itself needs for this is away; try again."""
CONTENT_BLOCKED: Final = -32015
"""What a server answered isn't passed on: it is too large, or looks like it holds a secret."""
WITHHELD: Final = -32016
"""A tool or prompt isn't what was approved."""
NOT_APPROVED: Final = -32017
"""The caller's human said no, or nothing."""
HEADER_MISMATCH: Final = -32020
MISSING_CLIENT_CAPABILITY: Final = -32021
UNSUPPORTED_PROTOCOL_VERSION: Final = -32022

_HTTP_STATUS: Final = {
    PARSE_ERROR: HTTPStatus.BAD_REQUEST,
    INVALID_REQUEST: HTTPStatus.BAD_REQUEST,
    INVALID_PARAMS: HTTPStatus.BAD_REQUEST,
    HEADER_MISMATCH: HTTPStatus.BAD_REQUEST,
    MISSING_CLIENT_CAPABILITY: HTTPStatus.BAD_REQUEST,
    UNSUPPORTED_PROTOCOL_VERSION: HTTPStatus.BAD_REQUEST,
    METHOD_NOT_FOUND: HTTPStatus.NOT_FOUND,
}


class RpcError(Exception):
    """A JSON-RPC error for the caller."""

    denied = False
    """Whether it hides something that isn't there for this caller only."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:  # noqa: ANN401 - any JSON
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    @property
    def http_status(self) -> int:
        """The HTTP status that 2026-07-28 gives this code; 200 where it gives none.

        A failing server isn't a 5xx of the gateway's: a mesh would take the gateway out for it.
        """
        return _HTTP_STATUS.get(self.code, HTTPStatus.OK)


class UpstreamError(RpcError):
    """A server couldn't be asked, or didn't answer with what MCP allows."""

    def __init__(
        self, server: str, kind: ErrorType, message: str, *, blames: bool = True, transient: bool = False
    ) -> None:
        code = REQUEST_TIMEOUT if kind is ErrorType.TIMEOUT else INTERNAL_ERROR
        super().__init__(code, f"server {server!r} {message}", {"type": str(kind), "server": server})
        self.kind = kind
        self.blames = blames
        """Whether it says that the server itself is failing."""
        self.transient = transient
        """Whether the same request may well succeed when it is sent again."""


class HttpRefusal(Exception):  # noqa: N818 - a refusal by policy, not a fault
    """The request is refused before its JSON-RPC content matters."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        reason: str,
        code: int = REFUSED,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        data: Any = None,  # noqa: ANN401 - any JSON
        violation: bool = True,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.reason = reason
        """A word for metrics and logs."""
        self.code = code
        self.headers = headers
        self.data = data
        self.violation = violation
        """Whether it is counted as one of security; sending too much isn't."""
