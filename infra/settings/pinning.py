"""Settings of what servers' tools must be: the lock that `mcpctl tools` makes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from infra.settings.fields import Group, Text


class Pinning(Group):
    """Tools and prompts must be what a signed lock says."""

    lock_file: Text
    """Path, from the project, of the lock; a change of it rolls no pods."""
    public_key_files: tuple[Text, ...] = Field(min_length=1, max_length=10)
    """Paths of the public keys whose signatures count; several while one replaces another."""
    mode: Literal["enforce", "warn"] = "enforce"
    """What isn't what was approved is withheld; or it is only counted and logged."""
    prompts: bool = True
    """Whether prompts are held to it, too."""
