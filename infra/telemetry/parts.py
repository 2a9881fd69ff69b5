"""What collectors of traces and of logs have in common. Pure."""

from __future__ import annotations

from typing import Final

from infra.naming import PROJECT, Stack
from infra.quantities import size_bytes
from infra.settings.telemetry import Backend
from infra.settings.workloads import Resources
from infra.telemetry.collector import (
    Attribute,
    Authenticator,
    BearerToken,
    Component,
    Configuration,
    FromEnvironment,
    HealthCheck,
    MemoryLimiter,
    OtlpHttpExporter,
    OwnLogs,
    OwnMetrics,
    Pipeline,
    Prometheus,
    Pull,
    PullExporter,
    Reader,
    ResourceProcessor,
    SendingQueue,
    Service,
    Telemetry,
    TlsClient,
)
from infra.telemetry.receivers import Retry
from services.kit.conventions import OPS_PORT

CONFIG_PATH: Final = "/etc/otelcol"
CONFIG_FILE: Final = "collector.yaml"
CA_FILE: Final = "ca.pem"
TOKEN_PATH: Final = "/run/secrets/backend"  # noqa: S105 - a path
TOKEN_FILE: Final = "token"  # noqa: S105 - a file's name
HEALTH_PORT: Final = 13133
HEALTH_PATH: Final = "/health"

ANYWHERE: Final = "0.0.0.0"  # noqa: S104 - the pod's own network

MEMORY_LIMITER: Final = "memory_limiter"
RESOURCE: Final = "resource"
EXPORTER: Final = "otlp_http"

_HEALTH_CHECK: Final = "health_check"
_TOKEN: Final = "bearertokenauth"  # noqa: S105 - a component's name
_MOST_MEMORY: Final = 0.8
_SPIKE: Final = 0.2
"""Shares of the container's limit: what is in use at most, and how much may come between two looks at it."""

_MIB: Final = 2**20


def memory_limiter(resources: Resources) -> MemoryLimiter:
    """Below the container's limit, so that data is refused before the process is killed."""
    limit = size_bytes(resources.limits.memory)
    return MemoryLimiter(
        check_interval="1s",
        limit_mib=int(limit * _MOST_MEMORY) // _MIB,
        spike_limit_mib=int(limit * _SPIKE) // _MIB,
    )


def go_memory_limit(resources: Resources) -> str:
    """GOMEMLIMIT: from there on, Go collects garbage rather than grows."""
    return f"{int(size_bytes(resources.limits.memory) * _MOST_MEMORY) // _MIB}MiB"


def origin(stack: Stack, **more: str | FromEnvironment) -> ResourceProcessor:
    """Which stack the data is of; dots in names are underscores here."""
    facts: dict[str, str | FromEnvironment] = {
        "service.namespace": PROJECT,
        "deployment.environment.name": stack.name,
        "k8s.namespace.name": stack.namespace,
        **{name.replace("_", "."): value for name, value in more.items()},
    }
    return ResourceProcessor(attributes=tuple(Attribute(key=key, value=it) for key, it in facts.items()))


def exporter(backend: Backend, retry: Retry, queue: SendingQueue) -> OtlpHttpExporter:
    """To the backend, by what it takes to be let in there."""
    return OtlpHttpExporter(
        endpoint=backend.endpoint.rstrip("/"),
        timeout="10s",
        tls=TlsClient(ca_file=f"{CONFIG_PATH}/{CA_FILE}") if backend.ca else None,
        auth=Authenticator(authenticator=_TOKEN) if backend.token else None,
        headers=dict(sorted(backend.headers.items())) or None,
        retry_on_failure=retry,
        sending_queue=queue,
    )


def configuration(
    backend: Backend,
    *,
    signal: str,
    receivers: Component,
    processors: Component,
    sending: OtlpHttpExporter,
    extensions: Component,
) -> Configuration:
    """One pipeline of all that is there, watched by probes and Prometheus.

    Args:
        backend: Where data goes.
        signal: `traces` or `logs`.
        receivers: Where it comes from.
        processors: What it goes through, in this order.
        sending: The exporter.
        extensions: Beside those that every collector has.
    """
    credentials = BearerToken(
        filename=f"{TOKEN_PATH}/{TOKEN_FILE}", header=backend.token_header, scheme=backend.token_scheme
    )
    every: Component = {
        _HEALTH_CHECK: HealthCheck(endpoint=f"{ANYWHERE}:{HEALTH_PORT}", path=HEALTH_PATH),
        **({_TOKEN: credentials} if backend.token else {}),
        **extensions,
    }
    pipeline = Pipeline(receivers=tuple(receivers), processors=tuple(processors), exporters=(EXPORTER,))
    reader = Reader(pull=Pull(exporter=PullExporter(prometheus=Prometheus(host=ANYWHERE, port=OPS_PORT))))
    return Configuration(
        receivers=receivers,
        processors=processors,
        exporters={EXPORTER: sending},
        extensions=every,
        service=Service(
            extensions=tuple(every),
            pipelines={signal: pipeline},
            telemetry=Telemetry(
                metrics=OwnMetrics(level="normal", readers=(reader,)),
                logs=OwnLogs(encoding="json", level="info"),
            ),
        ),
    )


def files(backend: Backend, configured: str) -> dict[str, str]:
    """The files of a collector's ConfigMap; no secret is among them."""
    return {CONFIG_FILE: configured, **({CA_FILE: backend.ca} if backend.ca else {})}
