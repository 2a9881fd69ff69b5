"""When a call needs its caller's approval, and with which keys what callers carry for us is sealed."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from services.gateway.config_parts import Part


class Approval(Part):
    """Which calls wait for the approval of the caller's human, besides those that the policy says."""

    by_annotation: Literal["explicit", "default", "off"] = "explicit"
    """`explicit`: tools that their server calls destructive; `default`: also those of which it says nothing,
    as MCP's defaults have it; `off`: none."""
    seconds: Annotated[float, Field(gt=0, le=3600)] = 300
    """For the answer to a question, and for each further round of an approved call."""
    without_redis: Literal["local", "closed"] = "local"
    """Whether an approval was used before is known to all replicas by Redis. While it is away, each replica
    knows of its own, or calls that may not be repeated are refused."""


class State(Part):
    """What keeps calls together that callers send in several rounds."""

    key_files: tuple[Path, ...] = ()
    """Secrets that all replicas share, 32 characters or more each: the first seals, all open. Without any,
    a key is made at the start, and no other replica opens what it sealed."""
