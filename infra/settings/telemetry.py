"""Settings of traces and logs: who collects them, and where they end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from infra.naming import COLLECTOR
from infra.quantities import size_bytes
from infra.settings.fields import Certificates, Cidr, Group, Label, PinnedImage, Size, Text, Url, reject
from infra.settings.servers import SECRET_NAME
from infra.settings.workloads import Limits, Requests, Resources, Scaled, SecretKey

OTLP_PORT: Final = 4318
"""Of OTLP over HTTP, as registered."""

QUEUE_SHARE: Final = 3
"""A queue on disk takes up to twice what is in it while it is rewritten; the rest is for what was read."""


def _day(text: str) -> str:
    try:
        date.fromisoformat(text)
    except ValueError as error:
        raise ValueError('must be a day in quotes, such as "2027-03-31"') from error
    return text


Day = Annotated[str, AfterValidator(_day)]


def port_of(url: str) -> int:
    """A URL's port, its scheme's own when it names none."""
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)


class Backend(Group):
    """What takes OTLP over HTTP: Jaeger, Tempo, Loki, another collector, a vendor."""

    endpoint: Url
    """Without `/v1/traces` and `/v1/logs`. Of Loki, it ends in `/otlp`."""
    cidrs: tuple[Cidr, ...] = ()
    """Networks that `endpoint` resolves into, where it is outside of the cluster. It is taken for a pod in
    `network.monitoring_namespace` when left out; its port is then the pod's own."""
    token: SecretKey | None = None
    """What is sent as a credential. The Secret is not ours, and read again when it changes."""
    token_header: Text = "Authorization"  # noqa: S105 - a header's name
    token_scheme: str = "Bearer"  # noqa: S105 - no token
    """Before the token in its header; empty for nothing."""
    headers: Mapping[Text, Text] = {}
    """Sent along, such as `X-Scope-OrgID` for a tenant. They are no place for secrets: see `token`."""
    ca: Certificates | None = None
    """PEM of the authorities that its certificate is checked against; the system's when left out."""

    @property
    def port(self) -> int:
        """The endpoint's port."""
        return port_of(self.endpoint)

    @model_validator(mode="after")
    def _keeps_secrets(self) -> Backend:
        if not self.endpoint.startswith("https:"):
            for key in ("token", "ca"):
                if getattr(self, key) is not None:
                    reject("endpoint", f"must be an https URL where {key} is set", self.endpoint)
            if self.cidrs:
                reject("endpoint", "must be an https URL outside of the cluster, see cidrs", self.endpoint)
        for key in self.headers:
            if SECRET_NAME.search(key) or key.lower() in {"authorization", self.token_header.lower()}:
                reject(f"headers.{key}", "looks like a secret; refer to a Kubernetes Secret with token")
        return self


class Collector(Scaled):
    """An OpenTelemetry collector of the stack's own."""

    export: Backend
    keep: float = Field(default=1, ge=0.001, le=1)
    """Share of the recorded traces that are sent on; all replicas keep the same ones."""
    image: PinnedImage | None = None
    """Instead of the image that is built: `opentelemetry-collector-contrib`, 0.160 or newer."""
    resources: Resources = Resources(requests=Requests(cpu="100m"))


class Tracing(Group):
    """Where the gateway and the servers send their traces: a collector that is there, or their own."""

    endpoint: Url | None = None
    """Of an OpenTelemetry collector, for OTLP over HTTP: scheme, host and the pod's own port."""
    sample_ratio: float = Field(default=0.1, ge=0, le=1)
    """Share of the requests that are recorded; callers who record their part have ours recorded, too."""
    cidrs: tuple[Cidr, ...] = ()
    """Networks that `endpoint` resolves into, where it is outside of the cluster. It is taken for a pod in
    `network.monitoring_namespace` when left out."""
    collector: Collector | None = None
    """Instead of `endpoint`: it takes the services' traces, keeps them while the backend is away, and alone
    knows the backend's credentials."""

    @property
    def target(self) -> str:
        """Where the services send."""
        return self.endpoint or f"http://{COLLECTOR}:{OTLP_PORT}"

    @property
    def port(self) -> int:
        """The target's port."""
        return port_of(self.target)

    @model_validator(mode="after")
    def _exactly_one(self) -> Tracing:
        if self.endpoint is None and self.collector is None:
            reject("endpoint", "must name a collector that is there, or collector one of the stack's")
        if self.endpoint is not None and self.collector is not None:
            reject("endpoint", "must be left out where collector is set; see collector.export", self.endpoint)
        if self.collector is not None and self.cidrs:
            reject("cidrs", "have no meaning with collector; see collector.export.cidrs", list(self.cidrs))
        return self


class Logging(Group):
    """Logs of the stack's pods, collected on every node and sent on."""

    export: Backend
    """A Secret in `token` is one of the namespace logs-mcp-<stack>."""
    exempt_until: Day
    """The last day of the exemption from the policy against folders of the node, in which logs are: within a
    year from now. After it, previews fail until somebody has looked at it again."""
    queue: Size = "256Mi"
    """The most that waits on each node's disk while the backend is away; after that, files are read no
    further, and what the node rotates away meanwhile is lost."""
    nodes: int = Field(default=100, ge=1, le=5000)
    """The most nodes of the cluster: what the namespace's quota allows for."""
    priority_class: Label | None = None
    """Of the cluster's, for collectors to find room on full nodes; else, in production, the stack's own."""
    image: PinnedImage | None = None
    """Instead of the image that is built: `opentelemetry-collector-contrib`, 0.160 or newer."""
    resources: Resources = Resources(
        requests=Requests(cpu="50m", memory="128Mi", ephemeral_storage="256Mi"),
        limits=Limits(memory="256Mi", ephemeral_storage="1Gi"),
    )

    @model_validator(mode="after")
    def _queue_fits(self) -> Logging:
        most = self.resources.limits.ephemeral_storage
        if QUEUE_SHARE * size_bytes(self.queue) > size_bytes(most):
            reject(
                "queue",
                f"must not be more than a third of resources.limits.ephemeral_storage, which is {most}",
                self.queue,
            )
        return self
