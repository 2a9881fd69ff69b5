"""What a server is asked, ready to be sent, as often as need be."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from services.gateway.fleet import Endpoint
from services.gateway.messages import RequestId
from services.gateway.tracing import UNTRACED, Trace

OnEvent = Callable[[bytes | None], Awaitable[None]]
"""Gets each notification of a stream (JSON), or None for a sign of life."""


@dataclass(slots=True)
class Question:
    """A request for a server, ready to send."""

    id: RequestId
    body: bytes
    headers: dict[str, str]
    repeatable: bool = False
    """Whether it may be sent again when it is unknown if the first was carried out."""
    seconds: float | None = None
    """Deadline of its own instead of the settings'."""
    background: bool = False
    """Whether nobody waits for it: it takes no place in the pool, and may be silent until its deadline."""
    on_event: OnEvent | None = None
    trace: Trace = UNTRACED
    only: Endpoint | None = None
    """The one replica to ask, also where it isn't trusted with calls."""
    tried: list[Endpoint] = field(default_factory=list)
