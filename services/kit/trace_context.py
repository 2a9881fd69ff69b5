"""W3C trace context: which trace a request belongs to, and whether its caller records it."""

import re
from dataclasses import dataclass
from typing import Final

_TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})"
)
_SAMPLED: Final = 1


@dataclass(frozen=True, slots=True)
class TraceContext:
    """What a well-formed `traceparent` says."""

    traceparent: str
    trace_id: str
    span_id: str
    sampled: bool


def trace_context(traceparent: str | None) -> TraceContext | None:
    """What `traceparent` says; None where there is none or it isn't well-formed."""
    match = _TRACEPARENT.fullmatch(traceparent or "")
    return match and TraceContext(match[0], match[1], match[2], bool(int(match[3], 16) & _SAMPLED))


def new_context(trace_id: int, span_id: int, *, sampled: bool) -> TraceContext:
    """A context of our own."""
    trace, span = f"{trace_id:032x}", f"{span_id:016x}"
    return TraceContext(f"00-{trace}-{span}-{sampled:02x}", trace, span, sampled)
