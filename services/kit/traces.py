"""Spans on their way to an OpenTelemetry collector. Import this only where tracing is on: it needs a lot.

Whatever the collector does, nobody waits for it: spans queue up in bounded memory, one thread delivers them,
and what can't be delivered is counted and dropped. The SDK's own processor would neither tell how much it
drops nor end within a given time.
"""

import logging
import socket
import threading
from collections import deque
from typing import Final

from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from prometheus_client import Counter
from requests import Session

from services.kit.logs import get_logger
from services.kit.version import VERSION

TRACES_PATH: Final = "/v1/traces"
MAX_QUEUE: Final = 2048
BATCH: Final = 256
DELIVERY_SECONDS: Final = 1.0
"""Between two deliveries, unless a batch is full sooner."""
EXPORT_SECONDS: Final = 3.0
CLOSE_SECONDS: Final = 3.0


class Tracing:
    """What is recorded in this process, from its start to its end."""

    def __init__(self, service: str, endpoint: str, sample_ratio: float, lost: Counter) -> None:
        """Record a share of what begins here, and whatever goes on from where it is recorded.

        Args:
            service: our name.
            endpoint: the collector's address for OTLP over HTTP, without `/v1/traces`.
            sample_ratio: the share, from 0 to 1.
            lost: counts spans that couldn't be delivered.
        """
        session = Session()
        session.trust_env = False
        exporter = trace_exporter.OTLPSpanExporter(
            endpoint.rstrip("/") + TRACES_PATH, timeout=EXPORT_SECONDS, session=session
        )
        self._queue = SpanQueue(exporter, lost)
        self.provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(sample_ratio)),
            resource=Resource(
                {
                    "service.name": service,
                    "service.version": VERSION,
                    "service.instance.id": socket.gethostname(),
                }
            ),
            shutdown_on_exit=False,
        )
        self.provider.add_span_processor(self._queue)

    def close(self) -> None:
        """Deliver what is left, as far as that is done within some seconds."""
        self._queue.shutdown()


class SpanQueue(SpanProcessor):
    """Ended spans that wait for delivery."""

    def __init__(self, exporter: SpanExporter, lost: Counter) -> None:
        self._exporter = exporter
        self._lost = lost
        self._spans: deque[ReadableSpan] = deque()
        self._wake = threading.Event()
        self._closing = False
        self._away = False
        self._reason = _Reason()
        logging.getLogger(trace_exporter.__name__).addFilter(self._reason)
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
        self._thread.start()

    def on_end(self, span: ReadableSpan) -> None:
        """Take a span, unless the queue is full."""
        if not (span.context and span.context.trace_flags.sampled):
            return
        if self._closing or len(self._spans) >= MAX_QUEUE:
            self._lost.inc()
            return
        self._spans.append(span)
        if len(self._spans) == BATCH:
            self._wake.set()

    def shutdown(self) -> None:
        """Deliver what is left, within `CLOSE_SECONDS`."""
        self._closing = True
        self._wake.set()
        self._thread.join(CLOSE_SECONDS)
        self._exporter.shutdown()
        logging.getLogger(trace_exporter.__name__).removeFilter(self._reason)

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait(DELIVERY_SECONDS)
            self._wake.clear()
            self._deliver()
        self._deliver()

    def _deliver(self) -> None:
        """Send batch after batch; after a failure the rest waits for the next time."""
        while self._spans:
            batch = [self._spans.popleft() for _ in range(min(BATCH, len(self._spans)))]
            delivered = self._exporter.export(batch) is SpanExportResult.SUCCESS
            self._tell(away=not delivered)
            if not delivered:
                self._lost.inc(len(batch))
                return

    def _tell(self, *, away: bool) -> None:
        """Log it when it changes, and only then."""
        if away and not self._away:
            get_logger().warning("traces can't be delivered", reason=self._reason.last)
        elif self._away and not away:
            get_logger().info("traces are delivered again")
        self._away = away


class _Reason(logging.Filter):
    """Keeps the exporter's own messages out of the log, of which it has one for every attempt."""

    last = ""

    def filter(self, record: logging.LogRecord) -> bool:
        self.last = record.getMessage()
        return False
