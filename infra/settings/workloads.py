"""Settings of what every workload has, and of the gateway."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from pydantic import Field, model_validator

from infra.quantities import cpu_millis, size_bytes
from infra.settings.approval import Approval
from infra.settings.content import Content
from infra.settings.durable import Audit, Tasks
from infra.settings.fields import (
    Cidr,
    Cpu,
    Group,
    HostHeader,
    Label,
    Size,
    Text,
    Url,
    VolumeSize,
    reject,
)
from infra.settings.pinning import Pinning
from infra.settings.requests import RequestBounds
from infra.settings.search import Search
from infra.settings.subscriptions import Subscriptions
from infra.settings.traffic import RateLimits, ResponseCache

LogLevel = Literal["debug", "info", "warning", "error"]

DEFAULT_NODE_PORT: Final = 30080


class Requests(Group):
    """What a container is promised."""

    cpu: Cpu = "250m"
    memory: Size = "256Mi"
    ephemeral_storage: Size = "64Mi"


class Limits(Group):
    """What a container can have at most."""

    cpu: Cpu = "500m"
    memory: Size = "512Mi"
    ephemeral_storage: Size = "256Mi"


class Resources(Group):
    """A container's share of its node."""

    requests: Requests = Requests()
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _requests_fit(self) -> Resources:
        for key, number in (("cpu", cpu_millis), ("memory", size_bytes), ("ephemeral_storage", size_bytes)):
            wanted, most = getattr(self.requests, key), getattr(self.limits, key)
            if number(wanted) > number(most):
                reject(f"requests.{key}", f"must not be more than limits.{key}, which is {most}", wanted)
        return self


class Autoscaling(Group):
    """A number of replicas that follows the load."""

    min: int = Field(default=3, ge=1, le=100)
    max: int = Field(default=10, ge=2, le=100)
    cpu: int = Field(default=70, ge=1, le=100)
    """Target, in percent of the request."""
    memory: int = Field(default=80, ge=1, le=100)
    """Target, in percent of the request."""

    @model_validator(mode="after")
    def _has_a_range(self) -> Autoscaling:
        if self.min >= self.max:
            reject(
                "min",
                f"must be below max, which is {self.max}; for a fixed number set replicas instead",
                self.min,
            )
        return self


class Scaled(Group):
    """Something that runs as one or more equal replicas."""

    replicas: int | None = Field(default=None, ge=1, le=100)
    """A fixed number; 1 when neither this nor `autoscaling` is set."""
    autoscaling: Autoscaling | None = None
    disruption_budget: bool | None = None
    """Whether drains of nodes take one pod at a time; on for two replicas or more."""

    @property
    def least(self) -> int:
        """How many replicas there are at least."""
        return self.autoscaling.min if self.autoscaling else self.replicas or 1

    @property
    def most(self) -> int:
        """How many replicas there can be."""
        return self.autoscaling.max if self.autoscaling else self.replicas or 1

    @property
    def budgeted(self) -> bool:
        """Whether there is a disruption budget."""
        return self.least > 1 if self.disruption_budget is None else self.disruption_budget

    @model_validator(mode="after")
    def _one_way_to_scale(self) -> Scaled:
        if self.replicas is not None and self.autoscaling is not None:
            reject(
                "replicas", "must be left out where autoscaling is set: the two would fight", self.replicas
            )
        if self.disruption_budget and self.least == 1:
            reject(
                "disruption_budget",
                "needs two replicas or more: with one, it would block every drain",
                self.disruption_budget,
            )
        return self


class SecretKey(Group):
    """One key of a Kubernetes Secret that exists in the stack's namespace and is not ours."""

    name: Label
    key: Text


class Volume(Group):
    """Storage that outlives its pods."""

    size: VolumeSize = "1Gi"
    storage_class: Label | None = None
    """The cluster's default class when left out."""


class SharedVolume(Volume):
    """Storage that several pods may mount at once."""

    shared: bool = False
    """Access mode ReadWriteMany; needs a storage class that has it, such as one of EFS or NFS."""


class Gateway(Scaled):
    """The one front door of MCP clients."""

    expose: Literal["node-port", "load-balancer", "none"] = "none"
    node_port: int | None = Field(default=None, ge=30000, le=32767)
    annotations: Mapping[Text, str] = {}
    """Of the load balancer's Service, for the cloud that makes it."""
    client_cidrs: tuple[Cidr, ...] = Field(default=("0.0.0.0/0",), min_length=1)
    """Networks that clients come from."""
    timeout_seconds: int = Field(default=30, ge=1, le=3600)
    """Of one request to a server."""
    connections_per_server: int = Field(default=10, ge=1, le=1000)
    allowed_hosts: tuple[HostHeader, ...] = ()
    """Values of the Host header that requests may have; any when left out."""
    allowed_origins: tuple[Url, ...] = ()
    """Web pages that browsers may call from; none when left out."""
    names: Literal["prefixed", "plain"] = "prefixed"
    """Plain: tools, prompts and resources are called as their server calls them; for one server only."""
    policy_file: Text | None = None
    """Path, from the project, of the policy that says who may use what; scopes alone decide when left out."""
    requests: RequestBounds = RequestBounds()
    search: Search | None = None
    """None for no search; lists then show every tool."""
    limits: RateLimits = RateLimits()
    content: Content = Content()
    subscriptions: Subscriptions = Subscriptions()
    pinning: Pinning | None = None
    audit: Audit = Audit()
    tasks: Tasks | None = None
    """None for no tasks at all."""
    cache: ResponseCache = ResponseCache()
    approval: Approval = Approval()
    state_keys: tuple[Label, ...] = Field(default=("first",), min_length=1, max_length=5)
    """Names of generated keys for what callers keep between the rounds of a call: the first seals, all open.
    To replace one, deploy with a new name behind it, then with that one first, then without the old one."""
    log_level: LogLevel = "info"
    resources: Resources = Resources()

    @model_validator(mode="after")
    def _cache_leaves_room(self) -> Gateway:
        memory, most = self.cache.memory, self.resources.limits.memory
        if 2 * size_bytes(memory) > size_bytes(most):
            reject("cache.memory", f"must not be more than half of resources.limits.memory, {most}", memory)
        return self

    @model_validator(mode="after")
    def _exposed_one_way(self) -> Gateway:
        if self.node_port is not None and self.expose != "node-port":
            reject("node_port", f"has no meaning with expose: {self.expose}", self.node_port)
        if self.annotations and self.expose != "load-balancer":
            reject("annotations", f"have no meaning with expose: {self.expose}", dict(self.annotations))
        return self

    @model_validator(mode="after")
    def _keys_differ(self) -> Gateway:
        if len(set(self.state_keys)) < len(self.state_keys):
            reject("state_keys", "must differ from each other", list(self.state_keys))
        return self
