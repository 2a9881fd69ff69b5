"""Typed custom resources: dataclasses whose fields are the CRD's, in Python's spelling. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

_AFTER_UNDERSCORE = re.compile(r"_([a-z])")


def to_data(value: object) -> Any:  # noqa: ANN401 - JSON-like data
    """What the API server gets: camelCase keys, and nothing for what is None or an empty tuple.

    A field that would be a word of Python's own has an underscore behind it (`for_`). Keys of mappings
    stay as they are: they are data.
    """
    if is_dataclass(value) and not isinstance(value, type):
        pairs = ((field.name, getattr(value, field.name)) for field in fields(value))
        return {_camel_case(name): to_data(item) for name, item in pairs if item is not None and item != ()}
    if isinstance(value, Mapping):
        return {key: to_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_data(item) for item in value]
    return value


def _camel_case(name: str) -> str:
    return _AFTER_UNDERSCORE.sub(lambda match: match[1].upper(), name.removesuffix("_"))
