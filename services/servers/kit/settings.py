"""What every MCP server reads from the environment."""

from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from services.kit.settings import ServiceSettings
from services.kit.version import VERSION


def _split_commas(value: object) -> object:
    if isinstance(value, str):
        return tuple(item.strip() for item in value.split(",") if item.strip())
    return value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_commas)]
"""Comma-separated in the environment."""


class ServerSettings(ServiceSettings):
    """Variables are the fields' names in capitals: `MCP_SERVER_NAME`, `TOOL_TIMEOUT` and so on."""

    mcp_server_name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")] | None = None
    """The name in answers, logs and metrics, a DNS label; the program's own when not set."""

    mcp_server_version: str = VERSION

    tool_timeout: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """Seconds after which a tool call or resource read is given up and answered with an error."""

    tool_threads: Annotated[int, Field(ge=1, le=256)] = 8
    """How many blocking (plain `def`) tools run at a time; further calls wait, within their time limit."""

    allowed_hosts: Names = ()
    """Further names that a request's Host may be (see `hosts.py`), for a server that has a public one."""

    allowed_origins: Names = ()
    """Web pages (`https://inspector.example.com`) whose scripts may call this server, beyond local ones."""

    tracing_endpoint: str | None = None
    """An OpenTelemetry collector's address for OTLP over HTTP, without `/v1/traces`; unset: no traces."""

    tracing_sample_ratio: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of the requests that are recorded where the caller doesn't say whether to."""
