"""The methods that the gateway answers by itself: who it is, and that it is there."""

import contextlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from services.gateway.call import Call
from services.gateway.eras import HANDSHAKE_VERSIONS, IMPLEMENTATION, STATELESS_VERSIONS
from services.gateway.errors import INVALID_PARAMS, RpcError
from services.gateway.messages import DECODE_ERRORS, RawObject, decode_object, decode_text, raw
from services.gateway.session import HEADER, LOG_LEVELS, LogLevels, session_id

CAPABILITIES: Final[dict[str, Any]] = {"tools": {}, "resources": {}, "prompts": {}, "completions": {}}

INSTRUCTIONS: Final = (
    "This gateway offers the tools, resources and prompts of several servers. "
    "A name begins with its server's and two underscores; a resource's URI with its server's and a plus sign."
)

DISCOVER_TTL_MS: Final = 60_000
"""What we can do changes only when we are replaced by another release."""


LISTENING_CAPABILITIES: Final[dict[str, Any]] = {
    **CAPABILITIES,
    "tools": {"listChanged": True},
    "resources": {"listChanged": True, "subscribe": True},
    "prompts": {"listChanged": True},
}
"""With `subscriptions/listen`, or the older generation's stream."""


def discover(
    extensions: Iterable[str], instructions: str, *, listening: bool
) -> Callable[[Call], Awaitable[RawObject]]:
    """`server/discover` of 2026-07-28."""
    offered = {"extensions": {name: {} for name in extensions}}
    capabilities = LISTENING_CAPABILITIES if listening else CAPABILITIES
    result = {
        "supportedVersions": raw(STATELESS_VERSIONS),
        "capabilities": raw({**capabilities, **(offered if offered["extensions"] else {})}),
        "instructions": raw(instructions),
        "ttlMs": raw(DISCOVER_TTL_MS),
        "cacheScope": raw("public"),
    }

    async def answer(_call: Call) -> RawObject:
        return dict(result)

    return answer


def initialize(instructions: str, *, listening: bool) -> Callable[[Call], Awaitable[RawObject]]:
    """`initialize` of the older generation: the version is the caller's if we know it; we keep nothing."""
    # In 2026-07-28 a request says by itself which messages it wants.
    capabilities = {**(LISTENING_CAPABILITIES if listening else CAPABILITIES), "logging": {}}

    async def answer(call: Call) -> RawObject:
        try:
            requested = decode_text(call.params["protocolVersion"])
        except (KeyError, *DECODE_ERRORS):
            requested = ""
        declared: RawObject = {}
        with contextlib.suppress(KeyError, *DECODE_ERRORS):
            declared = decode_object(call.params["capabilities"])
        session = session_id(declared, always=listening)
        if session is not None:
            call.reply_headers.append((HEADER, session))
        return {
            "protocolVersion": raw(requested if requested in HANDSHAKE_VERSIONS else HANDSHAKE_VERSIONS[-1]),
            "capabilities": raw(capabilities),
            "serverInfo": raw(IMPLEMENTATION),
            "instructions": raw(instructions),
        }

    return answer


async def ping(_call: Call) -> RawObject:
    """`ping` of the older generation."""
    return {}


def set_level(levels: LogLevels) -> Callable[[Call], Awaitable[RawObject]]:
    """`logging/setLevel` of the older generation."""

    async def answer(call: Call) -> RawObject:
        try:
            level = decode_text(call.params["level"])
        except (KeyError, *DECODE_ERRORS):
            level = ""
        if level not in LOG_LEVELS:
            raise RpcError(INVALID_PARAMS, f"{call.method} needs a 'level': {', '.join(LOG_LEVELS)}")
        levels.set(call.session, level)
        return {}

    return answer
