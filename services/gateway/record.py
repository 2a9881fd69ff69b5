"""What is known about one request: for the access log, the metrics and the audit stream."""

from dataclasses import dataclass, field
from enum import Enum, auto
from time import perf_counter
from time import time as now

from services.gateway.call import Call
from services.gateway.errors import HttpRefusal, RpcError, UpstreamError
from services.gateway.messages import RequestId
from services.gateway.tracing import UNTRACED, Trace
from services.kit.tokens import Principal


class Place(Enum):
    """A request's place in the audit stream."""

    NONE = auto()
    TAKEN = auto()
    USED = auto()


@dataclass(slots=True)
class Record:
    """Filled in while the request is answered."""

    request_id: str
    status: int = 0
    method: str = ""
    era: str = ""
    principal: Principal | None = None
    trace: Trace = UNTRACED
    call: Call | None = None
    error: str | None = None
    """What went wrong, in a word for the log."""
    error_type: str | None = None
    """The same, in a word for the audit stream and traces."""
    denied: bool = False
    """Whether that is because of who or what sent it."""
    id: RequestId | None = None
    admin: bool = False
    """Whether it is an act of an administrator."""
    place: Place = Place.NONE
    time: float = field(default_factory=now)
    began: float = field(default_factory=perf_counter)

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return perf_counter() - self.began

    @property
    def trace_id(self) -> str | None:
        """The trace that it belongs to."""
        return None if self.trace.context is None else self.trace.context.trace_id

    @property
    def failure(self) -> str | None:
        """What went wrong, in a word, also where a tool says so in its result; None if nothing did."""
        return self.call.error if self.error_type is None and self.call is not None else self.error_type

    @property
    def server(self) -> str:
        """Which server it went to."""
        return "" if self.call is None else self.call.server

    @property
    def target(self) -> str:
        """The name or URI there."""
        return "" if self.call is None else self.call.target

    @property
    def cached(self) -> str:
        """Where the answer was kept, if it was."""
        return "" if self.call is None else self.call.cached

    def refused(self, refusal: HttpRefusal) -> None:
        """It isn't let in."""
        self.error = self.error_type = refusal.reason
        self.denied = refusal.violation

    def failed(self, error: RpcError) -> None:
        """It is answered with an error."""
        self.error = str(error.code)
        self.denied = error.denied
        self.error_type = str(error.kind) if isinstance(error, UpstreamError) else self.error

    def ended(self, why: str) -> None:
        """It isn't answered, or not by what was asked."""
        self.error = self.error_type = why


def failure_field(record: Record) -> dict[str, dict[str, str]]:
    """What the access log says of a request that failed: `error`, as exceptions have it, too."""
    return {} if record.failure is None else {"error": {"type": record.failure}}
