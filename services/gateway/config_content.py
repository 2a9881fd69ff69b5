"""What servers' texts may hold when they reach callers: the configuration of it."""

from collections.abc import Iterable
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, field_validator

from services.gateway.config_parts import Part
from services.gateway.content.own_patterns import compile_own
from services.gateway.content.secrets import BUILT_IN, DEFAULTS

HiddenText = Literal["strip", "keep"]
Leaks = Literal["off", "redact", "block"]
ResultBytes = Annotated[int, Field(ge=1024)]

MEBIBYTE: Final = 1024 * 1024


def _bounded(pattern: str) -> str:
    compile_own(pattern)
    return pattern


class OwnPattern(Part):
    """A kind of secret that only this organization has."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
    pattern: Annotated[str, AfterValidator(_bounded)]
    """See services/gateway/content/own_patterns.py."""


class ToolContent(Part):
    """Of each tool whose name matches; what is unset is as for all others."""

    match: Annotated[str, Field(min_length=1)]
    """The name as callers see it; `*` stands for anything."""
    hidden_text: HiddenText | None = None
    leaks: Leaks | None = None
    max_result_bytes: ResultBytes | None = None


def _kind(value: str) -> str:
    if value not in BUILT_IN:
        raise ValueError(f"must be one of {', '.join(BUILT_IN)}")
    return value


class Content(Part):
    """What is done with the texts of results, errors, messages and lists."""

    hidden_text: HiddenText = "strip"
    """Characters that nobody sees (services/gateway/content/hidden.py) are taken out."""
    leaks: Leaks = "off"
    """What looks like a secret is marked instead, or the whole result is refused. Lists aren't searched."""
    leak_kinds: tuple[Annotated[str, AfterValidator(_kind)], ...] = DEFAULTS
    leak_patterns: Annotated[tuple[OwnPattern, ...], Field(max_length=50)] = ()
    max_result_bytes: ResultBytes = 4 * MEBIBYTE
    """A larger result is refused."""
    tools: tuple[ToolContent, ...] = ()
    """Of several that match, the first counts."""

    @field_validator("leak_patterns")
    @classmethod
    def _distinct(cls, patterns: tuple[OwnPattern, ...]) -> tuple[OwnPattern, ...]:
        for name in _repeated(it.name for it in patterns):
            raise ValueError(f"{name!r} is there twice, or one of the built-in kinds")
        return patterns


def _repeated(names: Iterable[str]) -> Iterable[str]:
    seen = set(BUILT_IN)
    for name in names:
        if name in seen:
            yield name
        seen.add(name)
