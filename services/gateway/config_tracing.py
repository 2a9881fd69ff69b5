"""Where traces go: the configuration of it."""

from typing import Annotated

from pydantic import Field

from services.gateway.config_parts import HttpUrl, Part


class Tracing(Part):
    """Traces are recorded, and sent to an OpenTelemetry collector."""

    endpoint: HttpUrl
    """Its address for OTLP over HTTP, without `/v1/traces`."""
    sample_ratio: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of the requests that are recorded; callers who record their part have ours recorded, too."""
