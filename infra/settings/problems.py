"""Pydantic's errors as lines that a user can act on: stack, key, value, what is allowed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from infra.settings.fields import REJECTED
from infra.settings.workloads import SECRET_NAME

HIDDEN: Final = "(hidden)"
WRONG_KEY: Final = "[key]"
"""What pydantic appends to the place of a mapping's key that is wrong itself."""

_LONGEST_VALUE: Final = 60
_TAGS: Final = ("kind", "mode")
_CREDENTIAL: Final = re.compile(r"PRIVATE KEY|://[^/\s]*@")
_TYPES: Final = {
    "bool_type": "must be true or false",
    "int_type": "must be a whole number, without quotes",
    "string_type": "must be text; quote it where YAML takes it for something else",
    "dict_type": "must be a group of keys",
    "mapping_type": "must be a group of keys",
    "model_type": "must be a group of keys",
    "tuple_type": "must be a list",
    "too_short": "must not be empty",
}
_RANGES: Final = {"greater_than_equal": ("ge", "at least"), "less_than_equal": ("le", "at most")}


def lines(
    stack: str, error: ValidationError, model: type[BaseModel], secret_keys: frozenset[str]
) -> list[str]:
    """One line for every problem.

    Args:
        stack: The stack's name.
        error: What pydantic found.
        model: What was validated.
        secret_keys: Top-level keys whose values must not be shown.
    """
    found = error.errors(include_url=False)
    return [
        _line(stack, details, model, secret_keys)
        for details in found
        if details["type"] != "too_short" or not _explained(details, found)
    ]


def line(stack: str, key: str, shown: str, reason: str) -> str:
    """The one form of all such messages."""
    return f"stack {stack}: {key}{f' = {shown}' if shown else ''}: {reason}"


def suggestion(key: str, known: Sequence[str]) -> str:
    """`; did you mean X?` or nothing."""
    close = get_close_matches(key, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def _line(stack: str, details: ErrorDetails, model: type[BaseModel], secret_keys: frozenset[str]) -> str:
    path, annotation = _follow(model, details["loc"])
    value: Any = details["input"]
    context = details.get("ctx", {})
    reason = _reason(details, model, annotation)
    if details["type"] == REJECTED:
        path, value = [*path, *str(context["key"]).split(".")], context["value"]
    if details["type"] == "missing" or details["loc"][-1:] == (WRONG_KEY,):
        value = ...
    if details["type"].startswith("union_tag"):
        key = str(context["discriminator"]).strip("'")
        path, value = [*path, key], value.get(key, ...) if isinstance(value, Mapping) else ...
    hidden = not secret_keys.isdisjoint(path[:1]) or any(SECRET_NAME.search(part) for part in path)
    return line(stack, _dotted(path), _shown(value, hidden), reason)


def _explained(short: ErrorDetails, found: Sequence[ErrorDetails]) -> bool:
    """Whether a list is only too short because of entries that are wrong themselves."""
    place = short["loc"]
    return any(details is not short and details["loc"][: len(place)] == place for details in found)


def _reason(details: ErrorDetails, model: type[BaseModel], annotation: Any) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind == REJECTED:
        return str(context["reason"])
    if kind == "extra_forbidden":
        known = _keys(annotation)
        return f"unknown key{suggestion(str(details['loc'][-1]), known)} (known: {', '.join(known)})"
    if kind == "missing":
        _, group = _follow(model, details["loc"][:-1])
        tag = _tag(group)
        return f"missing; needed where {tag[0]} is {tag[1]}" if tag else "missing"
    if kind == "union_tag_not_found":
        return f"missing; must be one of {', '.join(_members(annotation))}"
    if kind == "union_tag_invalid":
        known = list(_members(annotation))
        return f"must be one of {', '.join(known)}{suggestion(str(context['tag']), known)}"
    if kind in _RANGES:
        bound, words = _RANGES[kind]
        return f"must be {words} {context[bound]}"
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return f"must be {context['expected']}"
    return _TYPES.get(kind, details["msg"])


def _shown(value: Any, hidden: bool) -> str:
    if value is ...:
        return ""
    if isinstance(value, Mapping):
        return "{…}"  # may hold anything, secrets too
    if isinstance(value, Sequence) and any(isinstance(item, Mapping) for item in value):
        return "[…]"
    text = json.dumps(value, ensure_ascii=False, default=str)
    if hidden or _CREDENTIAL.search(text):
        return HIDDEN
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def _dotted(path: Sequence[str]) -> str:
    return ".".join(path).replace(".[", "[")


def _follow(model: type[BaseModel], location: Sequence[str | int]) -> tuple[list[str], Any]:
    """Where an error is, as the user wrote it, and the type that holds or is the place.

    Pydantic's location also holds the chosen member of a union, and `WRONG_KEY`; neither is in the user's file.
    """
    path: list[str] = []
    annotation: Any = model
    for step in location:
        annotation = _plain(annotation)
        members = _members(annotation)
        if step == WRONG_KEY:
            continue
        if isinstance(step, int):
            path.append(f"[{step}]")
            annotation = get_args(annotation)[0]
        elif members:
            annotation = members[step]
        else:
            path.append(step)
            annotation = _below(annotation, step)
    return path, _plain(annotation)


def _below(annotation: Any, key: str) -> Any:
    """The type of one key's value; where the key is unknown, the type that should have had it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get(key)
        return field.annotation if field is not None else annotation
    arguments = get_args(annotation)
    return arguments[1] if len(arguments) > 1 else annotation


def _plain(annotation: Any) -> Any:
    """Without `Annotated` and `| None`."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if get_origin(annotation) in {Union, UnionType}:
        rest = [member for member in get_args(annotation) if member is not type(None)]
        return _plain(rest[0]) if len(rest) == 1 else annotation
    return annotation


def _members(annotation: Any) -> dict[str, type[BaseModel]]:
    """The members of a union of groups by their tag; of any other type nothing."""
    if get_origin(annotation) not in {Union, UnionType}:
        return {}
    return {tag[1]: member for member in get_args(annotation) if (tag := _tag(member))}


def _tag(annotation: Any) -> tuple[str, str] | None:
    """The key and value by which a group is chosen, such as `mode` and `external`; None outside a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for key in _TAGS:
            field = annotation.model_fields.get(key)
            if field is not None and get_origin(field.annotation) is Literal:
                return key, str(get_args(field.annotation)[0])
    return None


def _keys(annotation: Any) -> list[str]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return sorted(annotation.model_fields)
    return []
