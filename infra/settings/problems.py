"""Pydantic's errors as lines that a user can act on: stack, key, value, what is allowed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from infra.settings.fields import ABSENT, REJECTED
from infra.settings.places import WRONG_KEY, follow, keys, members, tag
from infra.settings.servers import SECRET_NAME

HIDDEN: Final = "(hidden)"

_LONGEST_VALUE: Final = 60
_CREDENTIAL: Final = re.compile(r"PRIVATE KEY|://[^/\s]*@")


@dataclass(frozen=True, slots=True)
class _Problem:
    """One error and where it is.

    Attributes:
        kind: Pydantic's name for it.
        context: Pydantic's details, such as a bound.
        key: The last key of its place.
        there: The type that the settings have there.
        group: The type around it.
    """

    kind: str
    context: Mapping[str, Any]
    key: str
    there: object
    group: object


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
    location, kind = details["loc"], details["type"]
    path, there = follow(model, location)
    _, group = follow(model, location[:-1])
    context = details.get("ctx", {})
    value: object = details["input"]
    if kind == REJECTED:
        path, value = [*path, *str(context["key"]).split(".")], context["value"]
    elif kind == "missing" or location[-1:] == (WRONG_KEY,):
        value = ABSENT
    elif kind in {"union_tag_invalid", "union_tag_not_found"}:
        key = str(context["discriminator"]).strip("'")
        path, value = [*path, key], value.get(key, ABSENT) if isinstance(value, Mapping) else ABSENT
    problem = _Problem(kind, context, path[-1] if path else "", there, group)
    reason = _REASONS.get(kind, lambda _: details["msg"])(problem)
    hidden = not secret_keys.isdisjoint(path[:1]) or any(SECRET_NAME.search(part) for part in path)
    return line(stack, _dotted(path), _shown(value, hidden), reason)


def _explained(short: ErrorDetails, found: Sequence[ErrorDetails]) -> bool:
    """Whether a list is only too short because of entries that are wrong themselves."""
    place = short["loc"]
    return any(details is not short and details["loc"][: len(place)] == place for details in found)


def _dotted(path: Sequence[str]) -> str:
    """`servers.filesystem.env` or `auth.issuers[0]`; a key that would break the line is quoted."""
    return ".".join(key if key.isprintable() else json.dumps(key) for key in path).replace(".[", "[")


def _shown(value: object, hidden: bool) -> str:
    if value is ABSENT:
        return ""
    if isinstance(value, Mapping):
        return "{…}"  # may hold anything, secrets too
    if isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
        return "[…]"
    text = json.dumps(value, ensure_ascii=False, default=str)
    if hidden or _CREDENTIAL.search(text):
        return HIDDEN
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def _unknown_key(problem: _Problem) -> str:
    known = keys(problem.group)
    return f"unknown key{suggestion(problem.key, known)} (known: {', '.join(known)})"


def _missing(problem: _Problem) -> str:
    chosen = tag(problem.group)
    return f"missing; needed where {chosen[0]} is {chosen[1]}" if chosen else "missing"


def _without_tag(problem: _Problem) -> str:
    return f"missing; must be one of {', '.join(members(problem.there))}"


def _wrong_tag(problem: _Problem) -> str:
    known = list(members(problem.there))
    return f"must be one of {', '.join(known)}{suggestion(str(problem.context['tag']), known)}"


def _too_short(problem: _Problem) -> str:
    least = problem.context["min_length"]
    return "must not be empty" if least == 1 else f"must have at least {least} items"


def _always(words: str) -> Callable[[_Problem], str]:
    return lambda _: words


_REASONS: Final[Mapping[str, Callable[[_Problem], str]]] = {
    REJECTED: lambda problem: str(problem.context["reason"]),
    "value_error": lambda problem: str(problem.context["error"]),
    "literal_error": lambda problem: f"must be {problem.context['expected']}",
    "greater_than_equal": lambda problem: f"must be at least {problem.context['ge']}",
    "less_than_equal": lambda problem: f"must be at most {problem.context['le']}",
    "extra_forbidden": _unknown_key,
    "missing": _missing,
    "union_tag_not_found": _without_tag,
    "union_tag_invalid": _wrong_tag,
    "bool_type": _always("must be true or false"),
    "int_type": _always("must be a whole number, without quotes"),
    "string_type": _always("must be text; quote it where YAML takes it for something else"),
    "dict_type": _always("must be a group of keys"),
    "mapping_type": _always("must be a group of keys"),
    "model_type": _always("must be a group of keys"),
    "model_attributes_type": _always("must be a group of keys"),
    "tuple_type": _always("must be a list"),
    "too_short": _too_short,
    "string_too_short": _always("must not be empty"),
}
