"""What is counted about tasks."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class TaskMetrics:
    """Their metrics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.running = Gauge("mcp_tasks_running", "Tasks that run in this gateway.", registry=registry)
        self.written = Counter(
            "mcp_tasks_written_total",
            "What came of runs of tasks and was written down: a result, an error, a request for input.",
            registry=registry,
        )
        self.taken_over = Counter(
            "mcp_tasks_taken_over_total", "Tasks whose gateway was gone.", registry=registry
        )
        self.late = Counter(
            "mcp_tasks_late_total",
            "What came of runs of tasks that had been cancelled or taken over, and was refused.",
            registry=registry,
        )
