"""The two protocol generations on one endpoint: which one a request is of, and how its result is written.

2026-07-28 sends everything with each request and repeats the essentials in headers, which must agree with
the body. The generation before begins with `initialize`; we answer it without a session, so that any replica
serves any request.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from services.gateway.call import Era
from services.gateway.errors import (
    HEADER_MISMATCH,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    UNSUPPORTED_PROTOCOL_VERSION,
    RpcError,
)
from services.gateway.header_value import decode_value
from services.gateway.messages import DECODE_ERRORS, RawObject, Request, decode_object, decode_text, raw
from services.gateway.versions import SERVER_INFO_KEY
from services.kit.version import VERSION

STATELESS_VERSIONS: Final = ("2026-07-28",)
HANDSHAKE_VERSIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")

META_PREFIX: Final = "io.modelcontextprotocol/"
VERSION_KEY: Final = f"{META_PREFIX}protocolVersion"
CAPABILITIES_KEY: Final = f"{META_PREFIX}clientCapabilities"
LOG_LEVEL_KEY: Final = f"{META_PREFIX}logLevel"
CLIENT_INFO_KEY: Final = f"{META_PREFIX}clientInfo"

NAMING_PARAMETER: Final = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "tasks/get": "taskId",
    "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}
"""Which parameter `Mcp-Name` repeats."""

IMPLEMENTATION: Final = {"name": "mcp-gateway", "version": VERSION}
"""Who we are, to callers and to servers."""

_IMPLEMENTATION_RAW: Final = raw(IMPLEMENTATION)
_COMPLETE: Final = raw("complete")
_STATELESS_ONLY: Final = ("resultType", "ttlMs", "cacheScope")


def meta_of(params: RawObject) -> RawObject | None:
    """`params._meta`; None where it is missing or no object."""
    value = params.get("_meta")
    try:
        return None if value is None else decode_object(value)
    except DECODE_ERRORS:
        return None


def era_of(request: Request, params: RawObject, headers: Mapping[bytes, bytes]) -> Era:
    """The generation that a request is of.

    Raises:
        RpcError: it claims to be of 2026-07-28 (or a version that we don't know) and doesn't hold together:
            -32602 for missing `_meta`, -32020 for headers that differ from the body, -32022 for the version.
    """
    version = headers.get(b"mcp-protocol-version")
    if version is not None and version.decode("latin-1") not in HANDSHAKE_VERSIONS:
        _check_stateless(request, params, headers, version.decode("latin-1"))
        return Era.STATELESS
    if version is None and VERSION_KEY in (meta_of(params) or {}):
        raise RpcError(HEADER_MISMATCH, "the MCP-Protocol-Version header is missing")
    return Era.HANDSHAKE


def may_be_older(headers: Mapping[bytes, bytes]) -> bool:
    """Whether the headers are those of the older generation, of which not all versions know the header."""
    return headers.get(b"mcp-protocol-version", b"2025-11-25").decode("latin-1") in HANDSHAKE_VERSIONS


def unsupported_version(requested: str) -> RpcError:
    """The error that tells a caller which versions it may use."""
    data = {"supported": list(STATELESS_VERSIONS), "requested": requested}
    return RpcError(UNSUPPORTED_PROTOCOL_VERSION, "Unsupported protocol version", data)


def _check_stateless(
    request: Request, params: RawObject, headers: Mapping[bytes, bytes], version: str
) -> None:
    meta = meta_of(params)
    if meta is None:
        raise RpcError(INVALID_PARAMS, "params._meta must be an object")
    if missing := [key for key in (VERSION_KEY, CAPABILITIES_KEY) if key not in meta]:
        raise RpcError(INVALID_PARAMS, f"params._meta lacks {', '.join(missing)}")
    if _text(meta[VERSION_KEY]) != version:
        raise RpcError(HEADER_MISMATCH, "the MCP-Protocol-Version header differs from the body's version")
    if headers.get(b"mcp-method", b"").decode("latin-1") != request.method:
        raise RpcError(HEADER_MISMATCH, "the Mcp-Method header differs from the body's method")
    parameter = NAMING_PARAMETER.get(request.method)
    if parameter in params:
        name = decode_value(headers.get(b"mcp-name", b"").decode("latin-1"))
        if name is None or name != _text(params[parameter]):
            raise RpcError(HEADER_MISMATCH, f"the Mcp-Name header differs from the body's {parameter!r}")
    if version not in STATELESS_VERSIONS:
        raise unsupported_version(version)


def _text(value: msgspec.Raw) -> str | None:
    try:
        return decode_text(value)
    except DECODE_ERRORS:
        return None


def for_caller(era: Era, result: RawObject) -> RawObject:
    """A result of 2026-07-28 as the caller's generation writes it. `result` is changed.

    Raises:
        RpcError: the result asks for more input, in a way that the older generation doesn't know.
    """
    meta = meta_of(result) or {}
    if era is Era.STATELESS:
        result.setdefault("resultType", _COMPLETE)
        result["_meta"] = raw(meta | {SERVER_INFO_KEY: _IMPLEMENTATION_RAW})
        return result
    kind = result.get("resultType", _COMPLETE)
    if bytes(kind) != bytes(_COMPLETE):
        raise RpcError(
            INTERNAL_ERROR, f"the server's result {bytes(kind).decode()} needs protocol 2026-07-28"
        )
    for key in _STATELESS_ONLY:
        result.pop(key, None)
    if meta.pop(SERVER_INFO_KEY, None) is not None:
        result["_meta"] = raw(meta)
    if not meta:
        result.pop("_meta", None)
    return result
