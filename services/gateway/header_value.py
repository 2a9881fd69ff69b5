"""Text in header values, as MCP 2026-07-28 writes it: plain ASCII, or `=?base64?…?=` around anything else."""

import base64
import binascii
import re
from typing import Final

_SENTINEL: Final = re.compile(r"=\?base64\?(.*)\?=", re.DOTALL)
_PLAIN: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?|")


def encode_value(text: str) -> str:
    """`text` as a header value."""
    if _PLAIN.fullmatch(text) and not _SENTINEL.fullmatch(text):
        return text
    return f"=?base64?{base64.b64encode(text.encode()).decode()}?="


def decode_value(value: str) -> str | None:
    """The text behind a header value; None where a sentinel is malformed, so that it equals nothing."""
    match = _SENTINEL.fullmatch(value)
    if match is None:
        return value
    try:
        data = base64.b64decode(match[1], validate=True)
        # Only the canonical form: two spellings of one name would let two readers disagree.
        return data.decode() if base64.b64encode(data).decode() == match[1] else None
    except (binascii.Error, UnicodeDecodeError):
        return None
