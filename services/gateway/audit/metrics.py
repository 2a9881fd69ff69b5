"""What is counted about the audit stream."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.kit.metrics import DURATION_BUCKETS


class AuditMetrics:
    """Its metrics; `waiting` is asked at each scrape."""

    def __init__(self, registry: CollectorRegistry, waiting: Callable[[], float]) -> None:
        Gauge(
            "mcp_audit_buffer_records", "Audit records that wait to be written.", registry=registry
        ).set_function(waiting)
        self.written = Counter("mcp_audit_records_written_total", "Audit records written.", registry=registry)
        self.refused = Counter(
            "mcp_audit_calls_refused_total",
            "Calls that were refused, or not answered, for want of their audit record.",
            registry=registry,
        )
        self.failures = Counter(
            "mcp_audit_flush_failures_total", "Failed attempts to write audit records.", registry=registry
        )
        self.lost = Counter(
            "mcp_audit_records_lost_total",
            "Audit records that could only be printed on standard error.",
            registry=registry,
        )
        self.seconds = Histogram(
            "mcp_audit_flush_seconds",
            "How long writing a batch of audit records took.",
            registry=registry,
            buckets=DURATION_BUCKETS,
        )
