"""Settings of the gateway's traffic: how much is let in, and what is answered without asking a server."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field, model_validator

from infra.quantities import size_bytes
from infra.settings.fields import Group, Size, Text, reject

KIBIBYTE: Final = 1024
MEBIBYTE: Final = 1024 * KIBIBYTE


class Rate(Group):
    """So many requests a second in the long run, and so many at once after a pause."""

    per_second: float = Field(gt=0, le=1_000_000)
    burst: int = Field(ge=1, le=1_000_000)


class ToolRate(Rate):
    """Of each tool whose name matches."""

    match: Text
    """The tool's name as clients see it; `*` stands for anything."""


class RateLimits(Group):
    """How many requests the gateway lets in, all replicas together; each limit that is set counts."""

    gateway: Rate | None = None
    """All requests."""
    principal: Rate | None = None
    """Those of each caller."""
    tools: tuple[ToolRate, ...] = ()
    """Calls of each tool; of several that match, the first counts."""
    without_redis: Literal["local", "open", "closed"] = "local"
    """While Redis is away: each replica counts for itself, or lets in everything, or nothing."""


class CachedTool(Group):
    """Tools whose results the gateway keeps."""

    match: Text
    """The tool's name as clients see it; `*` stands for anything."""
    ttl_seconds: float = Field(default=300, ge=0, le=86_400)
    """0: never kept, whatever its server says."""
    scope: Literal["principal", "public"] = "principal"
    """Whom a result is for: the caller that it was made for, or everybody who may call the tool."""


class ResponseCache(Group):
    """What the gateway answers without asking a server again."""

    tools: tuple[CachedTool, ...] = ()
    """Of several that match, the first counts; results of other tools aren't kept."""
    trusted_servers: tuple[Text, ...] = ()
    """Servers (`*` stands for anything) that may say themselves that results of their tools can be kept."""
    max_ttl_seconds: float = Field(default=300, ge=0, le=86_400)
    """The longest that lists, resources and results are kept because their server says so; 0: not at all."""
    memory: Size = "64Mi"
    """Of each replica; what wasn't used for longest makes room."""
    max_entry: Size = "1Mi"
    """A larger answer isn't kept."""
    redis: bool = True
    """Whether replicas share what they keep."""

    @model_validator(mode="after")
    def _has_room(self) -> ResponseCache:
        if size_bytes(self.memory) < MEBIBYTE:
            reject("memory", "must be 1Mi or more", self.memory)
        if size_bytes(self.max_entry) < KIBIBYTE:
            reject("max_entry", "must be 1Ki or more", self.max_entry)
        return self
