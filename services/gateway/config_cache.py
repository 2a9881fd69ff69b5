"""What answers are kept, and for how long: the configuration of it."""

from typing import Annotated, Literal

from pydantic import Field

from services.gateway.config_parts import Part

MEBIBYTE = 1024 * 1024


class CachedTool(Part):
    """Tools whose results are kept."""

    match: Annotated[str, Field(min_length=1)]
    """The name as callers see it; `*` stands for anything."""
    ttl_seconds: Annotated[float, Field(ge=0, le=86_400)] = 300
    """0: never kept, whatever the server says."""
    scope: Literal["principal", "public"] = "principal"
    """Whom a result is for: the caller that it was made for, or everybody who may call the tool."""


class Cache(Part):
    """The response cache."""

    tools: tuple[CachedTool, ...] = ()
    """Of several that match, the first counts."""
    trusted_servers: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Servers (`*` stands for anything) that may say themselves, in the `_meta` of a tool, that its results
    can be kept. What `tools` says goes before it."""
    max_ttl_seconds: Annotated[float, Field(ge=0, le=86_400)] = 300
    """The longest that anything is kept because its server says so: lists, resources, and results of tools by
    their `_meta`. 0: no such thing is."""
    memory_bytes: Annotated[int, Field(ge=MEBIBYTE)] = 64 * MEBIBYTE
    """Of this process, for all that is kept; what wasn't used for longest goes first."""
    max_entry_bytes: Annotated[int, Field(ge=1024)] = MEBIBYTE
    """A larger answer isn't kept."""
    redis: bool = True
    """Whether replicas share what they keep, where there is a Redis."""
