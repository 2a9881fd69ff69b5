"""The configuration of the collector that takes the services' traces. Pure."""

from __future__ import annotations

from typing import Final

from infra.naming import Stack
from infra.quantities import size_bytes
from infra.settings.telemetry import OTLP_PORT, Collector
from infra.telemetry import parts
from infra.telemetry.collector import Batch, Component, ProbabilisticSampler, SendingQueue, to_yaml
from infra.telemetry.receivers import OtlpHttpServer, OtlpProtocols, OtlpReceiver, Retry

_QUEUE_SHARE: Final = 8
"""Of the container's memory, an eighth waits encoded: while they are worked on, spans take several times as
much."""

_LONGEST_BODY: Final = 4 * 2**20
_PATIENCE: Final = "300s"
_SEED: Final = 22


def build_config(stack: Stack, collector: Collector) -> str:
    """Refuse while memory is short, say where spans are from, thin them out, keep them until taken."""
    processors: Component = {
        parts.MEMORY_LIMITER: parts.memory_limiter(collector.resources),
        parts.RESOURCE: parts.origin(stack),
        **({"probabilistic_sampler": _sampler(collector.keep)} if collector.keep < 1 else {}),
    }
    http = OtlpHttpServer(endpoint=f"{parts.ANYWHERE}:{OTLP_PORT}", max_request_body_size=_LONGEST_BODY)
    queue = SendingQueue(
        queue_size=size_bytes(collector.resources.limits.memory) // _QUEUE_SHARE,
        # A service has a queue of its own, and must not wait for ours.
        block_on_overflow=False,
        batch=Batch(flush_timeout="1s", min_size=256 * 2**10, max_size=2 * 2**20),
    )
    sending = parts.exporter(collector.export, Retry(enabled=True, max_elapsed_time=_PATIENCE), queue)
    return to_yaml(
        parts.configuration(
            collector.export,
            signal="traces",
            receivers={"otlp": OtlpReceiver(protocols=OtlpProtocols(http=http))},
            processors=processors,
            sending=sending,
            extensions={},
        )
    )


def _sampler(share: float) -> ProbabilisticSampler:
    return ProbabilisticSampler(mode="hash_seed", hash_seed=_SEED, sampling_percentage=round(share * 100, 6))
