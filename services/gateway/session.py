"""What a caller of the older generation can do, kept by the caller itself.

It says so once, in `initialize`, and any replica may get its calls. So the id of its session, which it sends
with each, is what it said. Nothing is signed: a caller who changes it changes only what it says about itself.
"""

import base64
import binascii
import secrets
from collections import OrderedDict
from typing import Final

import msgspec

from services.gateway.messages import DECODE_ERRORS, RawObject, decode_object, encode

HEADER: Final = b"mcp-session-id"

_KEPT: Final = ("elicitation", "roots", "sampling")
"""What a server may ask a caller for; other capabilities concern nobody behind us."""

_MAX_BYTES: Final = 1024
_UNIQUE_BYTES: Final = 12

LOG_LEVELS: Final = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
DEFAULT_LOG_LEVEL: Final = "info"
MAX_SESSIONS: Final = 10_000


def session_id(capabilities: RawObject, *, always: bool = False) -> bytes | None:
    """The id for a caller with these capabilities.

    None when there is nothing to ask it for, unless it needs a session `always`: to subscribe to resources.
    """
    kept = {name: capabilities[name] for name in _KEPT if name in capabilities}
    text = encode(kept)
    if len(text) > _MAX_BYTES:
        kept, text = {}, encode({})
    if not kept and not always:
        return None
    return base64.urlsafe_b64encode(text) + b"." + secrets.token_hex(_UNIQUE_BYTES).encode()


def capabilities_of(session: bytes | None) -> RawObject:
    """What the caller can do; nothing if the id isn't one of ours."""
    encoded, _, _ = (session or b"").partition(b".")
    try:
        found = decode_object(base64.urlsafe_b64decode(encoded))
        for value in found.values():
            msgspec.json.decode(value)
    except (binascii.Error, *DECODE_ERRORS):
        return {}
    return {name: found[name] for name in _KEPT if name in found}


class LogLevels:
    """The least level of messages that callers of the older generation want during their calls.

    Kept here only, for so many sessions: another replica, or this one after many others, sends messages from
    `DEFAULT_LOG_LEVEL` on.
    """

    def __init__(self) -> None:
        self._levels: OrderedDict[bytes, str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._levels)

    def set(self, session: bytes | None, level: str) -> None:
        """Remember what a session wants; without a session it is forgotten at once."""
        if session is not None and len(session) <= 2 * _MAX_BYTES:
            self._levels[session] = level
            self._levels.move_to_end(session)
            if len(self._levels) > MAX_SESSIONS:
                self._levels.popitem(last=False)

    def of(self, session: bytes | None) -> str:
        """What the session wants."""
        return self._levels.get(session or b"", DEFAULT_LOG_LEVEL)
