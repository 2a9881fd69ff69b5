"""Reads a policy file; a problem becomes one line: file and line, key, value and what is allowed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from services.gateway.authorization.decisions import Rulebook
from services.gateway.authorization.model import Group, Member, Policy, Rule, Trust
from services.gateway.config_file import causes
from services.kit.settings import explain

MAX_BYTES: Final = 1024 * 1024

_LONGEST_VALUE: Final = 80

Location = tuple[int | str, ...]


class PolicyError(Exception):
    """The policy can't be used; the message is one line."""


def load_policy(path: Path, trust: Trust) -> Rulebook:
    """Read, check and compile the policy.

    Raises:
        PolicyError: it can't be read or isn't valid.
    """
    content, lines = _read(path)
    try:
        return Rulebook(Policy.model_validate(content, context=trust))
    except ValidationError as error:
        problems = [_problem(path, lines, detail) for detail in causes(error.errors())]
        raise PolicyError("; ".join(problems)) from None


def _read(path: Path) -> tuple[object, dict[Location, int]]:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise PolicyError(f"{path}: {error.strerror}") from None
    if len(text) > MAX_BYTES:
        raise PolicyError(f"{path}: larger than {MAX_BYTES} bytes")
    loader = yaml.SafeLoader(text)
    lines: dict[Location, int] = {}
    try:
        node = loader.get_single_node()
        content = None if node is None else _content(loader, node, (), lines, set())
    except (yaml.YAMLError, RecursionError) as error:
        raise PolicyError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    finally:
        loader.dispose()
    return content, lines


def _content(
    loader: yaml.SafeLoader, node: yaml.Node, location: Location, lines: dict[Location, int], seen: set[int]
) -> object:
    """The node as data; `lines` gets where each part is. A node that is there twice (an alias) is refused."""
    lines[location] = node.start_mark.line + 1
    if id(node) in seen:
        raise yaml.YAMLError(f"line {node.start_mark.line + 1}: anchors and aliases aren't allowed")
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        return [
            _content(loader, item, (*location, index), lines, seen) for index, item in enumerate(node.value)
        ]
    if isinstance(node, yaml.MappingNode):
        return dict(_pairs(loader, node, location, lines, seen))
    return loader.construct_object(node)


def _pairs(
    loader: yaml.SafeLoader,
    node: yaml.MappingNode,
    location: Location,
    lines: dict[Location, int],
    seen: set[int],
) -> Iterator[tuple[str, object]]:
    keys: set[str] = set()
    for key_node, value_node in node.value:
        key = str(loader.construct_object(key_node))
        if key in keys:
            raise yaml.YAMLError(f"line {key_node.start_mark.line + 1}: {key} is there twice")
        keys.add(key)
        yield key, _content(loader, value_node, (*location, key), lines, seen)


def _problem(path: Path, lines: dict[Location, int], detail: ErrorDetails) -> str:
    location = detail["loc"]
    known = next(
        location[:end] for end in range(len(location), -1, -1) if location[:end] in lines or end == 0
    )
    where = f"{path}:{lines.get(known, 1)}"
    key = _key(location)
    match detail["type"]:
        case "missing":
            return f"{where}: {key} is missing"
        case "extra_forbidden":
            allowed = ", ".join(sorted(_model_at(location).model_fields))
            return f"{where}: {key} is not known; allowed: {allowed}"
        case _ if isinstance(detail["input"], list | dict):
            return f"{where}: {key or 'the file'}: {explain(detail)}"
        case _:
            return f"{where}: {key or 'the file'} = {_shown(detail['input'])}: {explain(detail)}"


def _key(location: Location) -> str:
    """`('rules', 2, 'effect')` → `rule 3: effect`; people count from one."""
    if len(location) > 1 and location[0] == "rules" and isinstance(location[1], int):
        rest = ".".join(str(part) for part in location[2:])
        return f"rule {location[1] + 1}" + (f": {rest}" if rest else "")
    return ".".join(str(part) for part in location)


def _model_at(location: Location) -> type[BaseModel]:
    """The model whose key the last part of `location` would be."""
    match location[:-1]:
        case ("rules", *_):
            return Rule
        case ("groups", _, "members", *_):
            return Member
        case ("groups", *_):
            return Group
        case _:
            return Policy


def _shown(value: Any) -> str:  # noqa: ANN401 - anything that YAML can hold
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
