"""What is accepted from callers, and how long they are waited for."""

from typing import Annotated

from pydantic import Field

from services.gateway.config_parts import MEBIBYTE, Part, Seconds
from services.kit.settings import HeadBytes, HeaderFields


class Requests(Part):
    """What is accepted from callers."""

    max_head_bytes: HeadBytes = 64 * 1024
    """Of a request's line and headers together; more is refused (431)."""
    max_header_fields: HeaderFields = 100
    max_body_bytes: Annotated[int, Field(ge=1024)] = 4 * MEBIBYTE
    body_seconds: Seconds = 15
    """For a caller to send its whole body."""
    deadline_seconds: Seconds = 300
    """From a request's head to the beginning of its answer, whatever it waits for meanwhile; later is 504."""
    unread_seconds: Seconds = 60
    """The longest that a caller may leave unread what is sent to it; then its connection is closed."""
    input_seconds: Seconds = 300
    """For a caller of the older generation to give the input that a server needs in the middle of a call."""
    allowed_hosts: tuple[str, ...] | None = None
    """Values of the Host header, with or without port. Unset: any; on loopback, this machine's names only."""
    allowed_origins: tuple[str, ...] = ()
    """Values of the Origin header that browsers may come from."""
