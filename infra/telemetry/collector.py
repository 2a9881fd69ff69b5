"""An OpenTelemetry collector's configuration, as far as used: dataclasses whose fields are its keys. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal

import yaml

from infra.telemetry.receivers import Retry

Component = Mapping[str, object]
"""Receivers, processors, exporters or extensions of one pipeline, by their ids."""

Sizer = Literal["items", "bytes"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FromEnvironment:
    """What the process finds in its environment when it starts.

    Attributes:
        variable: Its name.
    """

    variable: str


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryLimiter:
    """Refuses data while memory is short; the first of a pipeline's processors."""

    check_interval: str
    limit_mib: int
    spike_limit_mib: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Attribute:
    """An attribute that is set, whatever it was."""

    key: str
    value: str | FromEnvironment
    action: Literal["upsert"] = "upsert"


@dataclass(frozen=True, kw_only=True, slots=True)
class ResourceProcessor:
    """Says of all data where it is from."""

    attributes: tuple[Attribute, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbabilisticSampler:
    """Keeps some traces, by their ids: all replicas keep the same ones."""

    mode: Literal["hash_seed"]
    hash_seed: int
    sampling_percentage: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """How much is sent at once."""

    flush_timeout: str
    min_size: int
    max_size: int
    sizer: Sizer = "bytes"


@dataclass(frozen=True, kw_only=True, slots=True)
class SendingQueue:
    """What waits until the receiver takes it.

    Attributes:
        queue_size: The most that waits.
        block_on_overflow: Whether a full queue holds up the pipeline; it refuses otherwise.
        storage: The extension that keeps the queue on disk; memory when left out.
        batch: How much is sent at once.
        sizer: What sizes count.
    """

    queue_size: int
    block_on_overflow: bool
    storage: str | None = None
    batch: Batch
    sizer: Sizer = "bytes"


@dataclass(frozen=True, kw_only=True, slots=True)
class TlsClient:
    """Whose certificates are trusted; the system's authorities when left out."""

    ca_file: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Authenticator:
    """The extension that adds credentials to requests."""

    authenticator: str


@dataclass(frozen=True, kw_only=True, slots=True)
class OtlpHttpExporter:
    """Sends OTLP over HTTP to `endpoint`, below which are `/v1/traces` and `/v1/logs`."""

    endpoint: str
    timeout: str
    tls: TlsClient | None = None
    auth: Authenticator | None = None
    headers: Mapping[str, str] | None = None
    retry_on_failure: Retry
    sending_queue: SendingQueue


@dataclass(frozen=True, kw_only=True, slots=True)
class HealthCheck:
    """Answers probes."""

    endpoint: str
    path: str


@dataclass(frozen=True, kw_only=True, slots=True)
class BearerToken:
    """Credentials out of a file, which is read again when it changes."""

    filename: str
    header: str
    scheme: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FileStorage:
    """A folder that outlives the process."""

    directory: str
    create_directory: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Prometheus:
    """Where the collector's own metrics are.

    Attributes:
        host: Address to listen on.
        port: Port to listen on.
        without_type_suffix: Whether counters go without `_total`, which some clients get in any case.
        without_scope_info: Whether series go without labels about the library that counts.
    """

    host: str
    port: int
    without_type_suffix: bool = False
    without_scope_info: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class PullExporter:
    """The one exporter that is asked for metrics."""

    prometheus: Prometheus


@dataclass(frozen=True, kw_only=True, slots=True)
class Pull:
    """A reader that others ask."""

    exporter: PullExporter


@dataclass(frozen=True, kw_only=True, slots=True)
class Reader:
    """A way out for metrics."""

    pull: Pull


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnMetrics:
    """How much the collector tells of itself, and where."""

    level: Literal["normal"]
    readers: tuple[Reader, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnLogs:
    """What the collector's own log looks like."""

    encoding: Literal["json"]
    level: Literal["info"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Telemetry:
    """What the collector tells of itself."""

    metrics: OwnMetrics
    logs: OwnLogs


@dataclass(frozen=True, kw_only=True, slots=True)
class Pipeline:
    """From receivers through processors, in order, to exporters."""

    receivers: tuple[str, ...]
    processors: tuple[str, ...]
    exporters: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """What of all that is there is used."""

    extensions: tuple[str, ...]
    pipelines: Mapping[str, Pipeline]
    telemetry: Telemetry


@dataclass(frozen=True, kw_only=True, slots=True)
class Configuration:
    """A whole configuration."""

    receivers: Component
    processors: Component
    exporters: Component
    extensions: Component
    service: Service


def to_yaml(configuration: Configuration) -> str:
    """The file that a collector reads."""
    return yaml.safe_dump(to_data(configuration), sort_keys=False, width=120)


def to_data(value: object) -> Any:  # noqa: ANN401 - YAML-like data
    """Keys as the collector spells them; nothing for what is None.

    A dollar sign would begin a substitution. In texts it is doubled, so that they arrive as they are.
    """
    if isinstance(value, FromEnvironment):
        return f"${{env:{value.variable}}}"
    if isinstance(value, str):
        return value.replace("$", "$$")
    if is_dataclass(value) and not isinstance(value, type):
        pairs = ((field.name, getattr(value, field.name)) for field in fields(value))
        return {name.removesuffix("_"): to_data(item) for name, item in pairs if item is not None}
    if isinstance(value, Mapping):
        return {key: to_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_data(item) for item in value]
    return value
