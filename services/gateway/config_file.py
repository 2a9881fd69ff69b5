"""Reads the configuration; a problem becomes one line: the file, the key, the value and what is allowed."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsError as EnvironmentError_

from services.gateway.config import ENV_LEVELS, ENV_PREFIX, GatewayConfig
from services.kit.settings import explain

_TAGS = frozenset({"none", "tokens"})
_LONGEST_VALUE = 80
_PASSWORD = re.compile(r"//[^/@]*@")
"""User and password in a URL."""


class ConfigError(Exception):
    """The configuration can't be used; the message is one line."""


def load_config(path: Path) -> GatewayConfig:
    """Read and check the configuration.

    Raises:
        ConfigError: it can't be read or isn't valid.
    """
    content = _read(path)
    try:
        return GatewayConfig(**content)
    except ValidationError as error:
        problems = [_problem(path, detail) for detail in causes(error.errors())]
        raise ConfigError("; ".join(problems)) from None
    except EnvironmentError_ as error:
        raise ConfigError(f"environment variables {ENV_PREFIX}…: {error}") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        content: object = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: must be UTF-8 text") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ConfigError(f"{path}: must be a mapping of settings")
    return content


def causes(details: list[ErrorDetails]) -> list[ErrorDetails]:
    """Without "too short" of a list whose items are what is wrong."""
    locations = [detail["loc"] for detail in details]
    return [
        detail
        for detail in details
        if detail["type"] != "too_short"
        or not any(
            other[: len(detail["loc"])] == detail["loc"] for other in locations if other != detail["loc"]
        )
    ]


def _problem(path: Path, detail: ErrorDetails) -> str:
    location = [part for index, part in enumerate(detail["loc"]) if not (index == 1 and part in _TAGS)]
    key = ".".join(str(part) for part in location)
    where = _source(path, location)
    match detail["type"]:
        case "missing":
            return f"{where}: {key} is missing"
        case "extra_forbidden":
            return f"{where}: {key} is not a setting; allowed: {', '.join(_siblings(location))}"
        case "model_type":
            return f"{where}: {key} = {_shown(detail['input'])}: must be a mapping"
        case _ if not location:
            return f"{where}: {explain(detail)}"
        case _:
            return f"{where}: {key} = {_shown(detail['input'])}: {explain(detail)}"


def _shown(value: object) -> str:
    text = _PASSWORD.sub("//…@", repr(value))
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def _source(path: Path, location: list[int | str]) -> str:
    """The variable that set the value, or any level above it; else the file."""
    set_here = {name.upper() for name in os.environ}
    for depth in range(len(location), 0, -1):
        variable = ENV_PREFIX + ENV_LEVELS.join(str(part) for part in location[:depth]).upper()
        if variable in set_here:
            return f"environment variable {variable}"
    return str(path)


def _siblings(location: list[int | str]) -> list[str]:
    """The keys that are allowed where `location` ends."""
    fields = GatewayConfig.model_fields
    for part in location[:-1]:
        if isinstance(part, str) and part in fields:
            fields = _fields_of(fields[part].annotation)
    return sorted(fields)


def _fields_of(annotation: Any) -> Mapping[str, Any]:  # noqa: ANN401 - a type expression
    """The fields of the model within `annotation` (`X`, `X | None`, `tuple[X, ...]`, `Annotated[X, …]`)."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation.model_fields
    for inner in get_args(annotation):
        if found := _fields_of(inner):
            return found
    return {}
