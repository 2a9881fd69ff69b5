"""Pulumi's project and stack files: `Pulumi.yaml` and `Pulumi.<stack>.yaml`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from infra.errors import PlatformError


@dataclass(frozen=True, slots=True)
class Project:
    """What is needed to run a program for one stack.

    Attributes:
        name: The project's name.
        stack: The stack's name.
        root: The folder of `Pulumi.yaml`.
        program: The folder (or file) that Python runs.
        config: Full keys (`project:key`) to text; anything that is not text is JSON, as Pulumi stores it.
    """

    name: str
    stack: str
    root: Path
    program: Path
    config: Mapping[str, str]


def load(root: Path, stack: str) -> Project:
    """Read the project's files for one stack.

    Raises:
        PlatformError: No such project or stack, a file that is not valid, or an encrypted value.
    """
    settings = _mapping(root / "Pulumi.yaml")
    name = settings.get("name")
    if not isinstance(name, str):
        raise PlatformError(f"{root / 'Pulumi.yaml'}: `name` is missing")
    stack_file = root / f"Pulumi.{stack}.yaml"
    if not stack_file.is_file():
        known = ", ".join(stacks(root)) or "none"
        raise PlatformError(
            f"there is no stack {stack!r}: {stack_file} does not exist", hint=f"stacks: {known}"
        )
    config = {
        _full_key(name, key): _text(stack_file, key, value)
        for key, value in section(stack_file, "config").items()
    }
    program = root / str(settings.get("main", "."))
    return Project(name, stack, root, program, config)


def stacks(root: Path) -> list[str]:
    """The names of the project's stacks, sorted."""
    return sorted(path.name.split(".", 1)[1].removesuffix(".yaml") for path in root.glob("Pulumi.*.yaml"))


def _mapping(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PlatformError(f"{path} does not exist", hint="run this in the project's folder") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise PlatformError(f"{path}:{line}: {error.problem}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise PlatformError(f"{path}: must hold keys and values, not {type(content).__name__}")
    return content


def section(path: Path, key: str) -> dict[str, Any]:
    """A group of keys at the top of a file.

    Raises:
        PlatformError: There is no such file, or it is something else.
    """
    section = _mapping(path).get(key) or {}
    if not isinstance(section, dict):
        raise PlatformError(f"{path}: `{key}` must hold keys and values, not {type(section).__name__}")
    return section


def _full_key(project: str, key: object) -> str:
    return str(key) if ":" in str(key) else f"{project}:{key}"


def _text(path: Path, key: object, value: object) -> str:
    if _encrypted(value):
        raise PlatformError(
            f"{path}: {key} is encrypted by Pulumi, and only the Pulumi CLI can read it",
            hint="use `--engine pulumi`, or take the value from the cluster or an external secret store",
        )
    return value if isinstance(value, str) else json.dumps(value)


def _encrypted(value: object) -> bool:
    if isinstance(value, dict):
        return "secure" in value or any(_encrypted(item) for item in value.values())
    return isinstance(value, list) and any(_encrypted(item) for item in value)
