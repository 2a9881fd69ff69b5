"""Patterns over names, and the one spelling of a URI that they are compared with."""

import fnmatch
import re
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Final
from urllib.parse import unquote

Matcher = Callable[[str], bool]

_ENCODED: Final = re.compile(r"%[0-9A-Fa-f]{2}")


class Kind(StrEnum):
    """What can be named; the value is the key of its patterns in a rule."""

    TOOL = "tools"
    RESOURCE = "resources"
    PROMPT = "prompts"


def matcher(patterns: Iterable[str]) -> Matcher:
    """Whether a text fits any of the patterns; upper and lower case differ."""
    wanted = tuple(patterns)
    if not wanted:
        return lambda _text: False
    if "*" in wanted:
        return lambda _text: True
    match = re.compile("|".join(map(fnmatch.translate, wanted))).match
    return lambda text: match(text) is not None


def canonical(uri: str) -> str | None:
    """The spelling of `uri` that patterns are matched with; None where a server might read it as another.

    `file:///public/../secret` and `file:///%73ecret` would get around a rule about `file:///secret`. So what
    is percent-encoded is decoded, the case of scheme and host is dropped, and a URI with dot segments, empty
    segments, backslashes, control characters or a second layer of encoding has no such spelling.
    """
    text = unquote(uri, errors="strict") if _ENCODED.search(uri) else uri
    if _ENCODED.search(text) or "\\" in text or not text.isprintable():
        return None
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, separator, rest = text.partition(":")
        return f"{scheme.lower()}{separator}{rest}" if _is_plain(rest) else None
    host, slash, path = rest.partition("/")
    return f"{scheme.lower()}://{host.lower()}{slash}{path}" if _is_plain(path) else None


def _is_plain(path: str) -> bool:
    segments = path.split("/")
    return not any(part in {".", ".."} for part in segments) and "" not in segments[:-1]
