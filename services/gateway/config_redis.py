"""Where Redis is, and how long we wait for it."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from services.gateway.config_parts import Part, Seconds
from services.kit.settings import Port

Host = Annotated[str, Field(min_length=1)]


class SentinelAddress(Part):
    """One Sentinel."""

    host: Host
    port: Port = 26379


class Redis(Part):
    """What replicas share. The gateway keeps serving while it is away."""

    host: Host | None = None
    """Of the one server that there is; otherwise `sentinels` know the primary."""
    port: Port = 6379
    sentinels: tuple[SentinelAddress, ...] = ()
    """Asked for the primary at each new connection, with the same password."""
    primary: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] = "mcp"
    """What Sentinels call the group of servers."""
    sentinel_seconds: Seconds = 0.5
    """The longest wait for one Sentinel before the next is asked."""
    password_file: Path | None = None
    """Read anew for every connection."""
    tls: bool = False
    """Encrypted, and the certificate checked against the system's authorities."""
    connections: Annotated[int, Field(ge=1, le=1000)] = 20
    timeout_seconds: Seconds = 5
    """For connecting."""
    wait_seconds: Seconds = 0.1
    """The longest that a request waits for Redis; if it is slower, it counts as away."""

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if (self.host is None) == (not self.sentinels):
            raise ValueError("exactly one of 'host' and 'sentinels' is needed")
        if self.sentinels and self.tls:
            raise ValueError("tls isn't supported with 'sentinels'; set it to false")
        return self
