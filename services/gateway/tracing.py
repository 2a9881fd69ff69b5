"""The trace that a call belongs to, as far as everybody needs to know; recording it is `spans.py`'s.

Context comes in and goes on in `_meta`. Where nothing is recorded, it passes through untouched.
"""

from types import TracebackType
from typing import Final, Protocol, Self

from prometheus_client import Counter

from services.gateway.config_tracing import Tracing as TraceSettings
from services.gateway.messages import DECODE_ERRORS, Incoming, RawObject, Request, decode_text
from services.kit.trace_context import TraceContext, trace_context

TRACEPARENT: Final = "traceparent"


class Attempt:
    """One request to one endpoint of a server; entered while it is under way."""

    __slots__ = ("body", "error", "headers")

    def __init__(self, body: bytes, headers: dict[str, str]) -> None:
        self.body = body
        self.headers = headers
        self.error: str | None = None
        """Why it failed, where no exception tells."""

    def answered(self, reply: Incoming) -> None:
        """The server's response is there."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Trace:
    """A trace in which the gateway records nothing."""

    __slots__ = ("context",)

    def __init__(self, context: TraceContext | None) -> None:
        self.context = context
        """What servers and the log are told; None without any trace."""

    def attempt(self, body: bytes, headers: dict[str, str], server: str, url: str) -> Attempt:  # noqa: ARG002 - for those that record
        """A request to an endpoint, as it is to be sent."""
        return Attempt(body, headers)

    def end(self, server: str, error: str | None) -> None:
        """The call is answered, by that server; `error` says what went wrong, if anything did."""


UNTRACED: Final = Trace(None)


class Tracer(Protocol):
    """Begins a trace, or joins the caller's."""

    def join(self, request: Request, params: RawObject, meta: RawObject, version: str, began: float) -> Trace:
        """The trace of a request.

        Args:
            request: what came in.
            params: its parameters.
            meta: its `_meta`, which is made to say what servers shall see.
            version: the protocol's.
            began: when it came in, by `time.perf_counter`.
        """
        ...

    def close(self) -> None:
        """Deliver what is left; takes some seconds at most, and blocks."""
        ...


class PassOn:
    """The tracer where nothing is recorded."""

    def join(self, request: Request, params: RawObject, meta: RawObject, version: str, began: float) -> Trace:  # noqa: ARG002 - as above
        """The caller's trace."""
        context = caller_context(meta)
        return UNTRACED if context is None else Trace(context)

    def close(self) -> None:
        """Nothing is left."""


def tracer_for(settings: TraceSettings | None, service: str, lost: Counter) -> Tracer:
    """The tracer of a configuration."""
    if settings is None:
        return PassOn()
    # Only where tracing is on: OpenTelemetry would add a quarter to the time of the start.
    from services.gateway.spans import SpanTracer  # noqa: PLC0415 - as above
    from services.kit.traces import Tracing  # noqa: PLC0415 - as above

    return SpanTracer(Tracing(service, settings.endpoint, settings.sample_ratio, lost))


def caller_context(meta: RawObject) -> TraceContext | None:
    """What `_meta` says of the caller's trace; None where that is nothing, or malformed."""
    try:
        return trace_context(decode_text(meta[TRACEPARENT]))
    except (KeyError, *DECODE_ERRORS):
        return None
