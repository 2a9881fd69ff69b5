"""`Mcp-Param-*`: where a tool's schema says `x-mcp-header`, 2026-07-28 repeats the parameter in a header."""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from services.gateway.header_value import encode_value
from services.gateway.messages import DECODE_ERRORS

PREFIX: Final = "Mcp-Param-"
_ANNOTATION: Final = "x-mcp-header"
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""What HTTP allows as a header's name."""


def mirrored_headers(schema: msgspec.Raw, arguments: msgspec.Raw) -> dict[str, str]:
    """The headers that go with a call of the tool with these arguments."""
    try:
        given = msgspec.json.decode(arguments)
        annotated = list(_annotated(msgspec.json.decode(schema), given))
    except DECODE_ERRORS:
        return {}
    return {
        f"{PREFIX}{name}": encode_value(text)
        for name, value in annotated
        if (text := _text(value)) is not None
    }


def _annotated(schema: Any, value: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - any JSON
    """Header name and value of each annotated property that is there, however deep."""
    if not isinstance(schema, dict) or not isinstance(value, dict):
        return
    properties = schema.get("properties")
    for key, part in properties.items() if isinstance(properties, dict) else ():
        if key not in value or not isinstance(part, dict):
            continue
        if isinstance(name := part.get(_ANNOTATION), str) and _TOKEN.fullmatch(name):
            yield name, value[key]
        yield from _annotated(part, value[key])


def _text(value: Any) -> str | None:  # noqa: ANN401 - any JSON
    """How a value is written; objects, arrays and null aren't."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None
