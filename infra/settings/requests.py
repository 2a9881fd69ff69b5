"""Settings of what the gateway accepts of one request; its `config_requests.py` says the same."""

from pydantic import Field

from infra.settings.fields import Group


class RequestBounds(Group):
    """What one request may cost; beyond it, the request is refused."""

    max_head_bytes: int = Field(default=64 * 1024, ge=4096, le=2**20)
    """Of the request's line and headers together."""
    max_header_fields: int = Field(default=100, ge=16, le=10_000)
    max_body_bytes: int = Field(default=4 * 2**20, ge=1024)
    body_seconds: float = Field(default=15, gt=0, le=3600)
    """For a client to send its whole body."""
    deadline_seconds: float = Field(default=300, gt=0, le=3600)
    """From the request's head to the beginning of its answer, whatever it waits for meanwhile."""
    unread_seconds: float = Field(default=60, gt=0, le=3600)
    """The longest that a client may leave unread what is sent to it; then its connection is closed."""
    input_seconds: float = Field(default=300, gt=0, le=3600)
    """For a client of 2025-11-25 to give the input that a server needs in the middle of a call."""
