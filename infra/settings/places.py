"""Where in the user's file an error of pydantic's is, and what type the settings have there."""

from __future__ import annotations

from collections.abc import Sequence
from types import UnionType
from typing import Annotated, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel

WRONG_KEY: Final = "[key]"
"""What pydantic appends to the place of a mapping's key that is wrong itself."""

_TAGS: Final = ("kind", "mode")


def follow(model: type[BaseModel], location: Sequence[str | int]) -> tuple[list[str], object]:
    """Go from a model to the place of an error.

    Pydantic's location also holds the chosen member of a union, and `WRONG_KEY`; neither is in the file.

    Returns:
        The keys as the user wrote them, and the type there; for an unknown key, the group that lacks it.
    """
    path: list[str] = []
    annotation: object = model
    for step in location:
        annotation = _plain(annotation)
        known = members(annotation)
        if step == WRONG_KEY:
            continue
        if isinstance(step, int):
            path.append(f"[{step}]")
            annotation = get_args(annotation)[0]
        elif known:
            annotation = known[step]
        else:
            path.append(step)
            annotation = _below(annotation, step)
    return path, _plain(annotation)


def members(annotation: object) -> dict[str, type[BaseModel]]:
    """The groups of a union by their tag; of any other type nothing."""
    if get_origin(annotation) not in {Union, UnionType}:
        return {}
    return {found[1]: member for member in get_args(annotation) if (found := tag(member))}


def tag(annotation: object) -> tuple[str, str] | None:
    """The key and value by which a group is chosen, such as `mode` and `external`; None outside a union."""
    for key in _TAGS:
        field = _fields(annotation).get(key)
        if field is not None and get_origin(field) is Literal:
            return key, str(get_args(field)[0])
    return None


def keys(annotation: object) -> list[str]:
    """The keys that a group knows, sorted; of any other type none."""
    return sorted(_fields(annotation))


def _fields(annotation: object) -> dict[str, object]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {name: field.annotation for name, field in annotation.model_fields.items()}
    return {}


def _below(annotation: object, key: str) -> object:
    """The type of one key's value; where the key is unknown, the type that should have had it."""
    fields = _fields(annotation)
    if fields:
        return fields.get(key, annotation)
    arguments = get_args(annotation)
    return arguments[1] if len(arguments) > 1 else annotation


def _plain(annotation: object) -> object:
    """Without `Annotated` and `| None`."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if get_origin(annotation) in {Union, UnionType}:
        rest = [member for member in get_args(annotation) if member is not type(None)]
        return _plain(rest[0]) if len(rest) == 1 else annotation
    return annotation
