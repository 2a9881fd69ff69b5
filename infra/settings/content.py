"""Settings of what servers' texts may bring to clients; the gateway's `config_content.py` says the same."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from infra.settings.fields import Group, Text

HiddenText = Literal["strip", "keep"]
Leaks = Literal["off", "redact", "block"]
SecretKind = Literal[
    "aws-access-key",
    "aws-secret-key",
    "github-token",
    "private-key",
    "jwt",
    "slack-token",
    "slack-webhook",
    "google-api-key",
    "assignment",
]


def _expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"must be a regular expression: {error}") from None
    return text


class SecretPattern(Group):
    """A kind of secret that only your organization has."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")
    pattern: Annotated[Text, AfterValidator(_expression)]
    """Three letters or more; then characters and classes, each with `{n}` or, at most once, `{m,n}`."""


class ToolContent(Group):
    """Of each tool whose name matches; what is left out is as for all others."""

    match: Text
    """The tool's name as clients see it; `*` stands for anything."""
    hidden_text: HiddenText | None = None
    leaks: Leaks | None = None
    max_result_bytes: int | None = Field(default=None, ge=1024)


class Content(Group):
    """What the gateway does with the texts of results, errors, messages and lists."""

    hidden_text: HiddenText = "strip"
    """Characters that nobody sees: tags, reordering, without width, and the like."""
    leaks: Leaks = "off"
    """What looks like a secret is marked instead, or the whole result is refused."""
    leak_kinds: tuple[SecretKind, ...] | None = None
    """All but `assignment` when left out."""
    leak_patterns: tuple[SecretPattern, ...] = ()
    max_result_bytes: int = Field(default=4 * 2**20, ge=1024)
    """A larger result is refused."""
    tools: tuple[ToolContent, ...] = ()
    """Of several that match, the first counts."""
