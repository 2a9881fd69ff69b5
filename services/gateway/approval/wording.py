"""What a human reads before a call: which tool of which server, and with which arguments.

The arguments come from a model that may have been talked into them, so nothing in them can pass for anything
else: one line each, invisible characters written out, and what is left out is said.
"""

import hashlib
import json
import math
import re
from typing import Any, Final

import msgspec

from services.gateway.messages import DECODE_ERRORS

MAX_ARGUMENTS: Final = 20
MAX_NAME: Final = 60
MAX_VALUE: Final = 240
"""Characters of one value; with the bounds above, a message has less than 8,000."""


_HIDDEN: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""What Unicode calls printable and nobody sees."""


class ArgumentsError(Exception):
    """The arguments aren't an object that can only be read in one way."""


class Arguments:
    """A call's arguments, to be shown and to be recognized."""

    def __init__(self, raw: msgspec.Raw | bytes) -> None:
        """Read them.

        Raises:
            ArgumentsError: they aren't an object, or one in which the server may read something else than the
                human is shown: a key is there twice, or a number is out of range.
        """
        try:
            values = json.loads(bytes(raw), object_pairs_hook=_distinct, parse_float=_finite)
            canonical = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
        except DECODE_ERRORS as error:
            raise ArgumentsError(str(error) or "can't be read") from None
        if not isinstance(values, dict):
            raise ArgumentsError("must be an object")
        self._values: dict[str, Any] = values
        self.digest = hashlib.sha256(canonical.encode()).digest()
        """The same for the same arguments, however they are written."""

    def lines(self) -> list[str]:
        """One for each argument, or for those that there is room for."""
        shown = [
            f"{visible(name, MAX_NAME)} = {visible(json.dumps(value, ensure_ascii=False), MAX_VALUE)}"
            for name, value in list(self._values.items())[:MAX_ARGUMENTS]
        ]
        if left := len(self._values) - len(shown):
            shown.append(f"… and {left} more that aren't shown")
        return shown or ["(none)"]


def message(server: str, tool: str, arguments: Arguments) -> str:
    """The whole text."""
    name = visible(tool, MAX_NAME)
    lines = "\n".join(f"  {line}" for line in arguments.lines())
    return f"Allow the tool {name} of the server {server} to run?\nArguments:\n{lines}"


def visible(text: str, most: int) -> str:
    """At most so many characters of `text`, with everything that has no look of its own as an escape."""
    shown = ""
    for index, character in enumerate(text):
        glyph = _glyph(character)
        if len(shown) + len(glyph) > most:
            return f"{shown}… ({len(text) - index} more characters)"
        shown += glyph
    return shown


def _glyph(character: str) -> str:
    hidden = _HIDDEN.match(character) or not character.isprintable()
    return f"\\u{ord(character):04x}" if hidden else character


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError("a number is too large")
    return value
