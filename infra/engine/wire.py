"""Pulumi's wire form of property values, and its plain form with `Secret` and `UNKNOWN`.

The signatures are Pulumi's (sdk/go/common/resource/properties.go).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from infra.engine.graph import UNKNOWN, Data, Secret

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a type tag, not a secret
UNKNOWN_TEXT: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


def from_wire(value: Data) -> Data:
    """Decode parsed JSON: secrets become `Secret`, unknowns `UNKNOWN`, whole numbers int; keys are sorted."""
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        if fields.get(SIGNATURE) == SECRET:
            return Secret(from_wire(fields.get("value")))
        return {key: from_wire(fields[key]) for key in sorted(fields)}
    if isinstance(value, list):
        return [from_wire(item) for item in cast("list[Any]", value)]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return UNKNOWN if value == UNKNOWN_TEXT else value


def to_wire(value: Data) -> Data:
    """The inverse of `from_wire`."""
    if isinstance(value, Secret):
        return {SIGNATURE: SECRET, "value": to_wire(value.value)}
    if value is UNKNOWN:
        return UNKNOWN_TEXT
    if isinstance(value, Mapping):
        return {key: to_wire(item) for key, item in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [to_wire(item) for item in cast("list[Any]", value)]
    return value


def secret(value: Data) -> dict[str, Any]:
    """Mark a value in wire form as secret."""
    return {SIGNATURE: SECRET, "value": value}
