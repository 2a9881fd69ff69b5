"""Words of the command line as a tool's arguments."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from infra.errors import PlatformError


def parse_arguments(words: Sequence[str], schema: Mapping[str, Any]) -> dict[str, Any]:
    """`["path=a.txt", "limit=5"]` as `{"path": "a.txt", "limit": 5}`, by the tool's input schema.

    A property of type string takes the text as it stands; every other value must be JSON.

    Raises:
        PlatformError: A word without `=`, an unknown name, a value that is not JSON, or a missing
            argument.
    """
    properties: Mapping[str, Any] = schema.get("properties", {})
    closed = schema.get("additionalProperties") is False or bool(properties)
    arguments: dict[str, Any] = {}
    for word in words:
        name, separator, text = word.partition("=")
        if not separator:
            raise PlatformError(f"argument {word!r} is not NAME=VALUE", hint=_takes(properties))
        if closed and name not in properties:
            raise PlatformError(f"the tool takes no argument {name!r}", hint=_takes(properties))
        arguments[name] = _value(name, text, properties.get(name, {}))
    missing = [name for name in schema.get("required", []) if name not in arguments]
    if missing:
        raise PlatformError(f"missing argument: {', '.join(missing)}", hint=_takes(properties))
    return arguments


def _value(name: str, text: str, schema: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a JSON value
    if _allows(schema, "string"):
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        allowed = schema.get("type", "JSON")
        raise PlatformError(
            f"argument {name}={text!r} is not a value of type {allowed}: {error.msg}"
        ) from None


def _allows(schema: Mapping[str, Any], type_: str) -> bool:
    declared = schema.get("type")
    if declared == type_ or (isinstance(declared, list) and type_ in declared):
        return True
    return any(_allows(option, type_) for option in schema.get("anyOf", []))


def _takes(properties: Mapping[str, Any]) -> str:
    return f"it takes: {', '.join(properties) or 'no arguments'}"
