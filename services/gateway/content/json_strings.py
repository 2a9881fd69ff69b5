"""Changes single strings within JSON and leaves every other byte as it is: numbers, order, white space.

Decoding and encoding a whole document would be slower, and would lose what a number's text said.
"""

import json
import re
from collections.abc import Callable
from typing import Final

import msgspec

_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_QUOTE: Final = b'"'
_BACKSLASH: Final = ord("\\")
_text: Final = msgspec.json.Decoder(str)


def rewrite(data: bytes, suspicious: re.Pattern[bytes], change: Callable[[str], str]) -> bytes:
    """`data` with `change` applied to every string in which `suspicious` finds something.

    Args:
        data: valid JSON.
        suspicious: matches only what can't be outside of strings, and no quotes.
        change: what becomes of a string.

    Raises:
        ValueError: it isn't JSON in UTF-8.
    """
    pieces: list[bytes] = []
    done = 0
    while found := suspicious.search(data, done):
        start = _opening_quote(data, found.start(), done)
        token = _STRING.match(data, start)
        if token is None or token.end() < found.end():
            raise ValueError("a string has no end")
        before = _decode(token[0])
        after = change(before)
        pieces += (data[done:start], token[0] if after == before else msgspec.json.encode(after))
        done = token.end()
    return b"".join((*pieces, data[done:])) if pieces else data


def _opening_quote(data: bytes, position: int, least: int) -> int:
    """Where the string begins that is around `position`; no other string begins between the two."""
    while (position := data.rfind(_QUOTE, least, position)) >= 0:
        first = position
        while first > least and data[first - 1] == _BACKSLASH:
            first -= 1
        if (position - first) % 2 == 0:
            return position
    raise ValueError("text outside of strings")


def _decode(token: bytes) -> str:
    try:
        return _text.decode(token)
    except msgspec.DecodeError:
        # Half a surrogate pair, which can be escaped but isn't text.
        text: str = json.loads(token)
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
