"""Whether servers are held to what was approved of them: the configuration of it."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from services.gateway.config_parts import Part, Seconds


class Pinning(Part):
    """Tools and prompts must be what a signed lock says; `mcpctl tools` makes it."""

    lock_file: Path
    public_key_files: Annotated[tuple[Path, ...], Field(min_length=1, max_length=10)]
    """Whose signatures count: several while one replaces another."""
    mode: Literal["enforce", "warn"] = "enforce"
    """What isn't what was approved is withheld; or it is only counted and logged."""
    prompts: bool = True
    """Whether prompts are held to it, too."""
    reload_seconds: Seconds = 2
    """How often it is looked whether a file has changed."""
    fresh_seconds: Seconds = 10
    """How long a server's word for its tools counts for calls; it is asked again after half of it."""
    watch_seconds: Seconds = 30
    """How often servers that nobody calls are asked."""
