"""One request of a caller, on its way through the gateway."""

from dataclasses import dataclass, field
from enum import StrEnum

from services.gateway.authorization import View
from services.gateway.messages import DECODE_ERRORS, RawObject, RequestId, decode_text
from services.gateway.session import DEFAULT_LOG_LEVEL
from services.gateway.tracing import UNTRACED, Trace
from services.gateway.upstream_question import OnEvent
from services.kit.tokens import Principal


class Era(StrEnum):
    """The two protocol generations; within the older one, revisions don't differ for us."""

    STATELESS = "2026-07-28"
    HANDSHAKE = "2025-11-25"


@dataclass(slots=True)
class Call:
    """What is asked, by whom, and how the answer may be given."""

    id: RequestId
    method: str
    params: RawObject
    meta: RawObject
    era: Era
    principal: Principal
    view: View
    """What the policy lets the principal see."""
    trace: Trace = UNTRACED
    headers: dict[str, str] = field(default_factory=dict[str, str])
    """What goes to the server besides the protocol's own headers: the request's id and trace context, and the
    caller's `Mcp-Param-*` (parameters that it mirrored; the server checks them)."""
    credentials: bytes | None = field(default=None, repr=False)
    """The Authorization header, for what outlives the request: rights may end before a stream does."""
    session: bytes | None = None
    """The `Mcp-Session-Id` of a caller of the older generation."""
    log_level: str = DEFAULT_LOG_LEVEL
    """From which level on such a caller gets a server's messages."""
    reply_headers: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])
    """What goes back besides the answer."""
    on_event: OnEvent | None = None
    """Where progress of the call goes; None when the caller takes no stream."""
    seconds: float | None = None
    """The longest that its server may take, for a call that nobody waits for."""
    overdue: bool = False
    """Whether its deadline has passed, which is then why it is cancelled."""
    server: str = ""
    """Filled in on the way: which server it went to, …"""
    target: str = ""
    """… and the name or URI there. Both for the log, as is …"""
    error: str | None = None
    """… why its tool failed, though there is a result, …"""
    cached: str = ""
    """… and where the answer was kept, if it was."""


def tool_of(call: Call) -> str | None:
    """The name of the tool that is called, as the caller has it; None where no tool is called by name."""
    if call.method != "tools/call":
        return None
    try:
        return decode_text(call.params["name"])
    except (KeyError, *DECODE_ERRORS):
        return None
