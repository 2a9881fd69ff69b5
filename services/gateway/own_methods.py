"""The methods that the gateway answers by itself: who it is, and that it is there."""

from typing import Any, Final

from services.gateway.call import Call
from services.gateway.eras import HANDSHAKE_VERSIONS, IMPLEMENTATION, STATELESS_VERSIONS
from services.gateway.messages import DECODE_ERRORS, RawObject, decode_text, raw

CAPABILITIES: Final[dict[str, Any]] = {"tools": {}, "resources": {}, "prompts": {}, "completions": {}}

INSTRUCTIONS: Final = (
    "This gateway offers the tools, resources and prompts of several servers. "
    "A name begins with its server's and two underscores; a resource's URI with its server's and a plus sign."
)

DISCOVER_TTL_MS: Final = 60_000
"""What we can do changes only when we are replaced by another release."""


async def discover(_call: Call) -> RawObject:
    """`server/discover` of 2026-07-28."""
    return {
        "supportedVersions": raw(STATELESS_VERSIONS),
        "capabilities": raw(CAPABILITIES),
        "instructions": raw(INSTRUCTIONS),
        "ttlMs": raw(DISCOVER_TTL_MS),
        "cacheScope": raw("public"),
    }


async def initialize(call: Call) -> RawObject:
    """`initialize` of the older generation: no session is made; the version is the caller's if we know it."""
    try:
        requested = decode_text(call.params["protocolVersion"])
    except (KeyError, *DECODE_ERRORS):
        requested = ""
    return {
        "protocolVersion": raw(requested if requested in HANDSHAKE_VERSIONS else HANDSHAKE_VERSIONS[-1]),
        "capabilities": raw(CAPABILITIES),
        "serverInfo": raw(IMPLEMENTATION),
        "instructions": raw(INSTRUCTIONS),
    }


async def ping(_call: Call) -> RawObject:
    """`ping` of the older generation."""
    return {}
