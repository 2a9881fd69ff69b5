"""Lines of a stack's file (`Pulumi.<stack>.yaml`): where a setting is, or would be."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import yaml

from infra.engine.project import Project
from infra.errors import PlatformError

_SEGMENT: Final = re.compile(r"[^.\[\]]+")


def with_places(message: str, project: Project) -> str:
    """A message about settings, a line each, with the line of the stack file that each is about."""
    return "\n".join(_with_place(line, project) for line in message.splitlines())


def _with_place(line: str, project: Project) -> str:
    found = re.match(rf"stack {re.escape(project.stack)}: (?P<key>[\w.\-\[\]]+)(?: = |: )", line)
    if found is None:
        return line
    name = f"Pulumi.{project.stack}.yaml"
    return f"{line} ({name}:{line_of(project.root / name, project.name, found['key'])})"


def line_of(file: Path, project: str, key: str) -> int:
    """The line (from 1) of a setting such as `auth.issuers[0].name`, or of the nearest one around it.

    Raises:
        PlatformError: The file is not YAML.
    """
    return _line_in(_root(file), project, _SEGMENT.findall(key))


def line_of_part(file: Path, project: str, names: list[str]) -> int | None:
    """The line of the first setting, at the top or one below it, that has one of the names; None without any.

    Raises:
        PlatformError: The file is not YAML.
    """
    root = _root(file)
    config = _child(root, "config")[1] if root else None
    for name in names:
        for first in _keys(config):
            path = [first.removeprefix(f"{project}:")]
            if path[0] != name:
                path.append(name)
            below = _child(config, first)[1]
            if len(path) == 1 or name in _keys(below):
                return _line_in(root, project, path)
    return None


def _root(file: Path) -> yaml.Node | None:
    try:
        return yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise PlatformError(f"{file}: is not YAML: {error}") from None


def _line_in(root: yaml.Node | None, project: str, path: list[str]) -> int:
    line, node = _child(root, "config")
    for segment in path:
        found, below = _child(node, segment)
        if below is None and node is _child(root, "config")[1]:
            found, below = _child(node, f"{project}:{segment}")
        if below is None:
            break
        line, node = found, below
    return line + 1


def _keys(node: yaml.Node | None) -> list[str]:
    return [str(key.value) for key, _ in node.value] if isinstance(node, yaml.MappingNode) else []


def _child(node: yaml.Node | None, name: str) -> tuple[int, yaml.Node | None]:
    """The line (from 0) and the value of a key or list item; 0 and None where there is no such one."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == name:
                return key.start_mark.line, value
    if isinstance(node, yaml.SequenceNode) and name.isdigit() and int(name) < len(node.value):
        item = node.value[int(name)]
        return item.start_mark.line, item
    return 0, None
