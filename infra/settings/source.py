"""A stack's configuration, as text by full keys, becomes its settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from infra.errors import PlatformError
from infra.naming import PROJECT
from infra.settings.model import Settings
from infra.settings.problems import HIDDEN, line, lines, suggestion

_HINT: Final = "Nothing was changed. Correct Pulumi.{stack}.yaml; docs/settings.md describes every key."


def parse(stack: str, configured: Mapping[str, Any], secret: frozenset[str] = frozenset()) -> Settings:
    """The settings in a configuration as the engine passes it.

    Args:
        stack: The stack's name.
        configured: By full key (`mcp-platform:gateway`); a structured value is JSON text.
        secret: Full keys of values that must not be shown.

    Raises:
        PlatformError: Some of the configuration is unknown, malformed or contradicts itself; a line for each.
    """
    problems = [problem for key in configured if (problem := _misplaced(stack, key))]
    own = {
        key.removeprefix(f"{PROJECT}:"): value
        for key, value in configured.items()
        if key.startswith(f"{PROJECT}:")
    }
    secret_keys = frozenset(key.removeprefix(f"{PROJECT}:") for key in secret)
    values: dict[str, Any] = {}
    for key, value in own.items():
        try:
            values[key] = _decoded(value)
        except ValueError:
            shown = HIDDEN if key in secret_keys else json.dumps(value)
            problems.append(line(stack, key, shown, "must be a group of keys, but is malformed JSON"))
    try:
        settings = Settings.model_validate_json(json.dumps(values))
    except ValidationError as error:
        problems += lines(stack, error, Settings, secret_keys)
    else:
        if not problems:
            return settings
    raise PlatformError("\n".join(problems), hint=_HINT.format(stack=stack))


def _misplaced(stack: str, key: str) -> str:
    """What is wrong with a key's place, or nothing. Keys of other namespaces belong to providers."""
    namespace = key.partition(":")[0]
    if namespace != PROJECT:
        meant = suggestion(namespace, [PROJECT])
        return line(stack, key, "", f"unknown namespace{meant}") if meant else ""
    return ""


def _decoded(value: object) -> object:
    """A structured value's data; any other as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in {"{", "["}:
        return json.loads(value)
    return value
