"""`docs/settings.md`: every setting of a stack, from the models themselves (`make docs`)."""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterator
from itertools import pairwise
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from infra.settings import Settings

HEAD: Final = """\
# Settings of a stack

A stack's settings are the keys below `mcp-platform:` in `Pulumi.<stack>.yaml`. They are read once, before
anything is changed; an unknown key or a wrong value is an error that names it. This page is made from the
models in `infra/settings` by `make docs`.
"""


def reference() -> str:
    """The page's Markdown."""
    return "\n".join([HEAD, *_group(Settings, "", {})]) + "\n"


def _group(model: type[BaseModel], path: str, places: dict[type[BaseModel], str]) -> Iterator[str]:
    """One group's table, then the groups below it; `places` says where a group was described before."""
    places[model] = path
    yield f"## `{path}`\n" if path else "## Top level\n"
    if model.__doc__:
        yield f"{_sentence(model.__doc__)}\n"
    yield "| key | type | default | |\n|---|---|---|---|"
    below: list[tuple[type[BaseModel], str]] = []
    docstrings = _docstrings(model)
    for name, field in model.model_fields.items():
        found = [(group, f"{path}.{name}{suffix}".lstrip(".")) for group, suffix in _groups(field.annotation)]
        said = [_sentence(docstrings[name])] if name in docstrings else []
        said += [f"As `{places[group]}`." for group, _ in found if group in places]
        yield f"| `{name}` | {_type(field.annotation)} | {_default(field)} | {' '.join(said)} |"
        below += found
    yield ""
    for group, place in below:
        if group not in places:
            yield from _group(group, place, places)


def _docstrings(model: type[BaseModel]) -> dict[str, str]:
    """The text below each field. Pydantic would read the source for it wherever settings are read."""
    found: dict[str, str] = {}
    for class_ in reversed(model.__mro__[: model.__mro__.index(BaseModel)]):
        (tree,) = ast.parse(inspect.getsource(class_)).body
        assert isinstance(tree, ast.ClassDef)  # noqa: S101 - the source of a class at the top of a module
        for statement, text in pairwise(tree.body):
            match statement, text:
                case ast.AnnAssign(target=ast.Name(name)), ast.Expr(value=ast.Constant(value=str(said))):
                    found[name] = said
                case _:
                    pass
    return found


def _groups(annotation: Any, suffix: str = "") -> Iterator[tuple[type[BaseModel], str]]:  # noqa: ANN401 - a type form
    """The groups of keys in a type, with what stands between them and the key that has the type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        kind = next((field for key in ("kind", "mode") if (field := annotation.model_fields.get(key))), None)
        chosen = (
            f" ({get_args(kind.annotation)[0]})" if kind and get_origin(kind.annotation) is Literal else ""
        )
        yield annotation, suffix + chosen
        return
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _groups(arguments[0], suffix)
    elif origin in {Union, UnionType}:
        for member in arguments:
            yield from _groups(member, suffix)
    elif origin is tuple:
        yield from _groups(arguments[0], f"{suffix}[]")
    elif len(arguments) == 2:  # noqa: PLR2004 - a mapping's key and value
        yield from _groups(arguments[1], f"{suffix}.NAME")


def _type(annotation: Any) -> str:  # noqa: ANN401 - a type form
    arguments = get_args(annotation)
    match get_origin(annotation):
        case None if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            said = "keys"
        case None:
            said = {str: "text", int: "number", float: "number", bool: "`true` or `false`"}.get(
                annotation, str(annotation)
            )
        case origin if origin is Annotated:
            said = _type(arguments[0])
        case origin if origin is Literal:
            said = " or ".join(f"`{value}`" for value in arguments)
        case origin if origin in {Union, UnionType}:
            members = [_type(member) for member in arguments if member is not type(None)]
            said = " or ".join(dict.fromkeys(members))
        case origin if origin is tuple:
            said = f"list of {_type(arguments[0])}"
        case _:
            said = f"{_type(arguments[1])} by name"
    return said


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is None or isinstance(field.default, BaseModel):
        return ""
    return f"`{json.dumps(field.default)}`" if field.default not in ((), {}, "") else ""


def _sentence(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    print(reference(), end="")
