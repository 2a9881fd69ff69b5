"""Prometheus metrics that every MCP program of the platform reports under the same names.

One process per pod, so the registry is an object that the program owns, not a global. Label values are
bounded: whoever counts passes only names that the program itself knows (see `KnownNames`).
"""

import asyncio
import time
from collections.abc import Callable
from enum import StrEnum
from functools import cache
from types import TracebackType
from typing import Final, Self, TypeVar

from prometheus_client import (
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)

DURATION_BUCKETS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0),
)
"""Seconds; from a call that stays in the process to the longest timeout."""

OTHER: Final = "other"
"""Label value of every name that isn't known."""


class ErrorType(StrEnum):
    """Why a tool call failed: the values of `error_type`."""

    TOOL = "tool_error"
    """The tool ran and reported an error."""
    PROTOCOL = "protocol_error"
    """The server answered with a JSON-RPC error (unknown tool, wrong arguments)."""
    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"
    """No server process could be reached."""
    BAD_RESPONSE = "bad_response"
    """The server answered with something that isn't MCP."""
    BLOCKED = "blocked"
    """The tool ran, but its result must not reach the caller."""
    CANCELLED = "cancelled"
    """The caller went away."""
    DEADLINE = "deadline"
    """The request as a whole took too long."""
    INTERNAL = "internal"


M = TypeVar("M", Counter, Gauge, Histogram)


def series_of(metric: M) -> Callable[..., M]:
    """`metric.labels` with a memory: finding a series each time costs more than counting in it.

    It remembers as many as there are series, so the metric's labels must be bounded, as they all are.
    """
    return cache(metric.labels)


def new_registry() -> CollectorRegistry:
    """A registry that already reports the process: CPU, memory, open files, garbage collection."""
    disable_created_metrics()  # a second series for each counter, which nobody reads
    registry = CollectorRegistry()
    for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
        registry.register(collector)
    return registry


def lost_spans(registry: CollectorRegistry) -> Counter:
    """Counts what a collector didn't get."""
    return Counter(
        "mcp_trace_spans_lost_total", "Spans that couldn't be delivered to the collector.", registry=registry
    )


class ToolMetrics:
    """Calls, durations, errors and calls in flight, by server and tool."""

    def __init__(self, registry: CollectorRegistry) -> None:
        by_tool = ["server", "tool"]
        self.calls = Counter(
            "mcp_tool_calls_total", "Tool calls that ended.", [*by_tool, "status"], registry=registry
        )
        self.durations = Histogram(
            "mcp_tool_duration_seconds",
            "How long tool calls took.",
            by_tool,
            registry=registry,
            buckets=DURATION_BUCKETS,
        )
        self.errors = Counter(
            "mcp_tool_errors_total",
            "Tool calls that failed, by reason.",
            [*by_tool, "error_type"],
            registry=registry,
        )
        self.in_flight = Gauge(
            "mcp_tool_calls_in_flight", "Tool calls running now.", ["server"], registry=registry
        )
        self.calls_of = series_of(self.calls)
        self.durations_of = series_of(self.durations)
        self.in_flight_of = series_of(self.in_flight)

    def call(self, server: str, tool: str) -> "ToolCall":
        """Measure one call: `with metrics.call("files", "read") as call: … call.failed(ErrorType.TOOL)`."""
        return ToolCall(self, server, tool)


class ToolCall:
    """One call being measured; an exception that leaves the block counts as a failure."""

    def __init__(self, metrics: ToolMetrics, server: str, tool: str) -> None:
        self._metrics = metrics
        self.server = server
        self.tool = tool
        self.error: ErrorType | None = None
        self.seconds = 0.0

    def failed(self, error: ErrorType) -> None:
        """Say why the call failed; the last reason counts."""
        self.error = error

    def __enter__(self) -> Self:
        self._metrics.in_flight_of(self.server).inc()
        self._began = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.seconds = time.perf_counter() - self._began
        if kind is not None and self.error is None:
            cancelled = issubclass(kind, asyncio.CancelledError)
            self.error = ErrorType.CANCELLED if cancelled else ErrorType.INTERNAL
        metrics = self._metrics
        metrics.in_flight_of(self.server).dec()
        metrics.durations_of(self.server, self.tool).observe(self.seconds)
        metrics.calls_of(self.server, self.tool, "error" if self.error else "ok").inc()
        if self.error:
            metrics.errors.labels(self.server, self.tool, self.error).inc()


class KnownNames:
    """Names that may become label values: those that the program has seen to exist, up to a limit.

    A caller can invent names without end; each would be a time series for ever.
    """

    def __init__(self, limit: int = 2000) -> None:
        self._names: set[str] = set()
        self._limit = limit

    def admit(self, name: str) -> None:
        """From now on `name` stands for itself, unless the limit is reached."""
        if len(self._names) < self._limit:
            self._names.add(name)

    def label(self, name: str, shown: str | None = None) -> str:
        """`shown` (or else `name`) where `name` is known; "other" where it isn't."""
        return (shown or name) if name in self._names else OTHER
