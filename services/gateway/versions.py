"""Which version a server says it is: in the `_meta` of its results."""

from typing import Final

import msgspec

from services.gateway.messages import DECODE_ERRORS, RawObject

SERVER_INFO_KEY: Final = "io.modelcontextprotocol/serverInfo"
LONGEST: Final = 200
"""Characters of a version that are looked at."""


class _Info(msgspec.Struct):
    version: str = ""


class _Meta(msgspec.Struct):
    server: _Info | None = msgspec.field(default=None, name=SERVER_INFO_KEY)


_meta: Final = msgspec.json.Decoder(_Meta)


def version_of(result: RawObject) -> str:
    """What the result says; empty where it says nothing."""
    try:
        found = _meta.decode(result.get("_meta", b"{}"))
    except DECODE_ERRORS:
        return ""
    return found.server.version[:LONGEST] if found.server else ""
