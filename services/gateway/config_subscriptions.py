"""Streams on which callers hear of changes: the configuration of them."""

from typing import Annotated

from pydantic import Field

from services.gateway.config_parts import Part, Seconds


class Subscriptions(Part):
    """`subscriptions/listen`; the numbers are those of one replica."""

    max_streams: Annotated[int, Field(ge=0, le=100_000)] = 2000
    """Open at once; 0: not offered."""
    max_streams_per_principal: Annotated[int, Field(ge=1, le=100_000)] = 100
    max_resources: Annotated[int, Field(ge=0, le=10_000)] = 100
    """That one stream may listen to."""
    max_resources_per_server: Annotated[int, Field(ge=1, le=10_000)] = 2000
    """That all streams together may listen to; the gateway asks the server for all of them in one request."""
    keep_alive_seconds: Seconds = 15
    """The longest that nothing is sent."""
