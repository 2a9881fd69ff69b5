"""What the cache counts."""

from collections.abc import Iterable
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.gateway.cache.memory import Memory
from services.kit.metrics import series_of


class Kind(StrEnum):
    """What is kept: the value of the label `cache`."""

    TOOLS = "tools"
    LISTS = "lists"
    READS = "reads"


class Level(StrEnum):
    """Where an answer was kept: the value of the label `level`."""

    MEMORY = "l1"
    REDIS = "l2"


class CacheMetrics:
    """Counters; their labels are the servers that there are and words of ours."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "mcp_cache_requests_total",
            "Requests for what may be kept: tools, lists (one for each server of a list) and reads.",
            ["cache", "server"],
            registry=registry,
        )
        self.requests_of = series_of(self.requests)
        self.hits = Counter(
            "mcp_cache_hits_total",
            "Requests that were answered with what was kept, in the process (l1) or in Redis (l2).",
            ["cache", "level", "server"],
            registry=registry,
        )
        self.hits_of = series_of(self.hits)
        self.joined = Counter(
            "mcp_cache_joined_total",
            "Requests for what may be kept that waited for the answer to another one.",
            ["cache", "server"],
            registry=registry,
        )
        self.evictions = Counter(
            "mcp_cache_evictions_total",
            "Kept answers that left the process: expired, purged, or to make room (memory).",
            ["reason"],
            registry=registry,
        )

    def evicted(self, reason: str, entries: int) -> None:
        """Count entries that left the memory."""
        self.evictions.labels(reason).inc(entries)


class MemoryCollector(Collector):
    """Reads the memory when it is scraped."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def collect(self) -> Iterable[Metric]:
        """How much is kept."""
        yield GaugeMetricFamily(
            "mcp_cache_entries", "Answers that are kept in the process.", value=len(self._memory)
        )
        yield GaugeMetricFamily(
            "mcp_cache_bytes",
            "Memory that kept answers take in the process, about.",
            value=self._memory.bytes,
        )
