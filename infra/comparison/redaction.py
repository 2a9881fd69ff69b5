"""Changes as they may be shown: secrets are compared before, and here become marks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, cast

from infra.comparison.secret_texts import HIDDEN, is_secret_name, scrubbed, secret_items
from infra.engine.diff import ABSENT, Change
from infra.engine.graph import UNKNOWN, Data, Resource, Secret

OTHER: Final = "(another secret)"
LATER: Final = "(known after up)"

_LAST: Final = re.compile(r"[^.\[\]]+")


def marked(value: Data) -> Data:
    """Inputs whose command lines have `Secret` around what stands after `--password` and its like.

    By itself, as a change of one item, such a value would say nothing of what it is.
    """
    if isinstance(value, Mapping):
        found = {key: marked(item) for key, item in value.items()}
        command, args = value.get("command"), value.get("args")
        if isinstance(command, list) and isinstance(args, list):  # of a container: one command line
            whole = [*cast("list[Any]", command), *cast("list[Any]", args)]
            found["args"] = _marked_items(whole)[-len(args) :] if args else []
        return found
    if isinstance(value, list):
        return _marked_items([marked(item) for item in cast("list[Any]", value)])
    return value


def _marked_items(items: list[Any]) -> list[Any]:
    hidden = secret_items([item if isinstance(item, str) else "" for item in items])
    return [
        Secret(item) if place in hidden and isinstance(item, str) else item
        for place, item in enumerate(items)
    ]


def redacted(change: Change, resource: Resource) -> Change:
    """A change without any secret in it, and with marks for what is not known yet."""
    name = _last_name(change.path)
    hide = _of_a_secret(resource, change.path) or _names_a_secret(change.path)
    old, new = shown(change.old, name, hide=hide), shown(change.new, name, hide=hide)
    if old != new:
        return Change(change.path, old, new)
    # What differs is what is hidden. Of a text of several lines, its other lines would look like changes.
    return Change(change.path, old if isinstance(old, str) and "\n" not in old else HIDDEN, OTHER)


def shown(value: Data, name: str = "", *, hide: bool = False) -> Data:
    """A value as it may be shown.

    Args:
        value: With `Secret` and `UNKNOWN` inside.
        name: The field's name; what is called a password is hidden though nothing marks it.
        hide: Whether it is part of a secret as a whole.
    """
    if isinstance(value, Mapping):
        paired = hide or _is_secret_pair(value)
        return {
            str(key): shown(item, str(key), hide=paired if key == "value" else hide)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [shown(item, name, hide=hide) for item in value]
    return _leaf(value, name, hide)


def _leaf(value: Data, name: str, hide: bool) -> Data:
    if value is UNKNOWN or (isinstance(value, Secret) and value.value is UNKNOWN):
        return LATER
    if isinstance(value, Secret):
        return HIDDEN
    if value == ABSENT or value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return HIDDEN if hide or (value and is_secret_name(name)) else scrubbed(value)
    return HIDDEN if hide else value


def _is_secret_pair(value: Mapping[Any, Any]) -> bool:
    """`{"name": "DB_PASSWORD", "value": "…"}`, as containers' variables are given."""
    return isinstance(value.get("name"), str) and is_secret_name(value["name"])


def _of_a_secret(resource: Resource, path: str) -> bool:
    """Whether a path is in the contents of a Secret object, or of an image's build secrets."""
    if resource.type == "kubernetes:core/v1:Secret":
        return path.startswith(("data", "stringData"))
    return path.partition(".")[0] in {"secrets", "buildSecrets"}


def _names_a_secret(path: str) -> bool:
    """`….env[DB_PASSWORD].value`, or a field whose own name says it."""
    names = _LAST.findall(path)
    return len(names) > 1 and names[-1] == "value" and is_secret_name(names[-2])


def _last_name(path: str) -> str:
    names = _LAST.findall(path)
    return names[-1] if names else ""
