"""The gateway's configuration: what it may hold, and what it says.

A YAML file; a variable `MCP_GATEWAY_<KEY>` (levels joined by `__`: `MCP_GATEWAY_LISTEN__PORT`) overrides a
key of it. Nothing in it is secret: verification needs public keys only.
"""

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from services.gateway.config_approval import Approval, State
from services.gateway.config_audit import Audit
from services.gateway.config_auth import Auth, Authorization
from services.gateway.config_cache import Cache
from services.gateway.config_content import Content
from services.gateway.config_parts import MEBIBYTE, SERVICE_ACCOUNT, HttpUrl, Part, Seconds
from services.gateway.config_pinning import Pinning
from services.gateway.config_redis import Redis
from services.gateway.config_requests import Requests
from services.gateway.config_search import Search
from services.gateway.config_subscriptions import Subscriptions
from services.gateway.config_tasks import Tasks
from services.gateway.config_tracing import Tracing
from services.gateway.names import SERVER_NAME_RULE, is_server_name
from services.kit.conventions import DRAIN_SECONDS, MCP_PORT, OPS_PORT
from services.kit.postgres.settings import PostgresSettings
from services.kit.settings import LogLevel, Port

ENV_PREFIX: Final = "MCP_GATEWAY_"
ENV_LEVELS: Final = "__"
NO_AUTH: Final = "none"
LOOPBACK_HOSTS: Final = ("localhost", "127.0.0.1", "[::1]")


def _server_name(value: str) -> str:
    if not is_server_name(value):
        raise ValueError(f"must be {SERVER_NAME_RULE}")
    return value


class Listen(Part):
    """Where the gateway listens."""

    host: str = "0.0.0.0"  # noqa: S104 - a container listens for its pod; `auth: none` forbids it
    port: Port = MCP_PORT
    ops_port: Port = OPS_PORT

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


class KubernetesDiscovery(Part):
    """Servers are the labelled Services of a namespace. The rest is for running outside of the cluster."""

    namespace: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
    api_url: HttpUrl | None = None
    token_file: Path = SERVICE_ACCOUNT / "token"
    ca_file: Path = SERVICE_ACCOUNT / "ca.crt"
    only: Annotated[str, AfterValidator(_server_name)] | None = None
    """The one server to find; all that there are when left out."""
    address: Literal["pods", "services"] = "pods"
    """Where servers are asked: at their pods, of which the gateway chooses one, or at their Services' port
    8080, behind which a mesh does. Changes that pods tell of are then heard of one pod only."""


class Discovery(Part):
    """How servers are found."""

    kubernetes: KubernetesDiscovery


class StaticServer(Part):
    """A server that is named by hand, and the URLs of its replicas."""

    name: Annotated[str, AfterValidator(_server_name)]
    urls: Annotated[tuple[HttpUrl, ...], Field(min_length=1)]


class Breaker(Part):
    """When a server isn't asked for a while, because it keeps failing."""

    window_seconds: Seconds = 10
    min_calls: Annotated[int, Field(ge=1)] = 10
    """Fewer within the window decide nothing."""
    failure_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Of the window's calls; timeouts, broken connections and answers that aren't MCP."""
    open_seconds: Seconds = 5
    """Until one call may try again."""


class Upstream(Part):
    """How servers are asked."""

    timeout_seconds: Seconds = 30
    """For a whole answer; for a stream, the longest silence."""
    stream_seconds: Seconds = 300
    """The longest that an answer may go on as a stream."""
    connect_seconds: Seconds = 2
    queue_seconds: Seconds = 5
    """The longest wait for one of the server's connections."""
    list_seconds: Seconds = 2
    """What a server has to answer a list; who is later is named as missing."""
    connections_per_server: Annotated[int, Field(ge=1, le=1000)] = 10
    max_attempts: Annotated[int, Field(ge=1, le=10)] = 3
    """For what is safe to repeat: reads, and tools that their server calls read-only or idempotent."""
    eject_failures: Annotated[int, Field(ge=1)] = 5
    """In a row; a replica with so many is the last choice …"""
    eject_seconds: Seconds = 30
    """… for so long."""
    breaker: Breaker = Breaker()
    max_response_bytes: Annotated[int, Field(ge=1024)] = 16 * MEBIBYTE
    probe_seconds: Seconds = 5
    """Between two health checks of a server that is named by hand."""


class Lists(Part):
    """How lists are answered."""

    max_ttl_ms: Annotated[int, Field(ge=0)] = 5000
    """A list covers servers that come and go, so it is never called fresh for longer than this."""


class Rate(Part):
    """So many requests a second in the long run, and so many at once after a pause."""

    per_second: Annotated[float, Field(gt=0, le=1_000_000)]
    burst: Annotated[int, Field(ge=1, le=1_000_000)]


class ToolRate(Rate):
    """Of each tool whose name matches."""

    match: Annotated[str, Field(min_length=1)]
    """The name as callers see it; `*` stands for anything."""


class Limits(Part):
    """How many requests are let in; each limit that is set counts."""

    gateway: Rate | None = None
    """All requests together."""
    principal: Rate | None = None
    """Of each caller."""
    tools: tuple[ToolRate, ...] = ()
    """Calls of each tool by all callers together; of several that match, the first counts."""
    without_redis: Literal["local", "open", "closed"] = "local"
    """While Redis is away: each replica counts for itself, or lets in everything, or nothing."""


class Overload(Part):
    """When requests are refused (503) because the process can't keep up with those that it has."""

    max_lag_seconds: Annotated[float, Field(ge=0.001, le=10)] = 0.02
    """The event loop is later than this, and …"""
    in_flight: Annotated[int, Field(ge=1)] = 100
    """… so many requests are worked on; fewer, down to a quarter, while it stays so late."""


def _kind_of_auth(value: object) -> str:
    return NO_AUTH if isinstance(value, str) else "tokens"


class GatewayConfig(BaseSettings):
    """The whole configuration."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=ENV_PREFIX,
        env_nested_delimiter=ENV_LEVELS,
        env_ignore_empty=True,
    )

    listen: Listen = Listen()
    auth: Annotated[
        Annotated[Literal["none"], Tag(NO_AUTH)] | Annotated[Auth, Tag("tokens")],
        Discriminator(_kind_of_auth),
    ]
    authorization: Authorization | None = None
    discovery: Discovery | None = None
    servers: tuple[StaticServer, ...] = ()
    names: Literal["prefixed", "plain"] = "prefixed"
    """Plain: tools, prompts and resources are called as their server calls them; for a single server."""
    upstream: Upstream = Upstream()
    requests: Requests = Requests()
    lists: Lists = Lists()
    search: Search | None = None
    redis: Redis | None = None
    postgres: PostgresSettings | None = None
    """What must not be lost; its schema is made by `services.gateway.migrate`."""
    audit: Audit | None = None
    tasks: Tasks | None = None
    limits: Limits = Limits()
    overload: Overload = Overload()
    cache: Cache = Cache()
    tracing: Tracing | None = None
    content: Content = Content()
    pinning: Pinning | None = None
    approval: Approval = Approval()
    state: State = State()
    subscriptions: Subscriptions = Subscriptions()
    log_level: LogLevel = "info"
    drain_seconds: Annotated[int, Field(ge=0, le=3600)] = DRAIN_SECONDS

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the base class names it
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file (whose content are the init arguments)."""
        return env_settings, init_settings

    @field_validator("servers")
    @classmethod
    def _distinct(cls, servers: tuple[StaticServer, ...]) -> tuple[StaticServer, ...]:
        names = [server.name for server in servers]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{name!r} is there twice; every server needs a name of its own")
        return servers

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.auth == NO_AUTH and not self.listen.is_loopback:
            raise ValueError(
                f"auth: none is allowed where only this machine can connect, but listen.host is "
                f"{self.listen.host!r}; set it to 127.0.0.1 or configure auth.audience and auth.issuers"
            )
        if (self.discovery is None) == (not self.servers):
            raise ValueError("exactly one of 'discovery' and 'servers' is needed")
        if self.requests.deadline_seconds < self.upstream.timeout_seconds:
            raise ValueError(
                f"requests.deadline_seconds is {self.requests.deadline_seconds:g}, less than "
                f"upstream.timeout_seconds, {self.upstream.timeout_seconds:g}: requests would end before a "
                "server that hangs is found out"
            )
        if self.audit is not None and self.audit.sink == "postgres" and self.postgres is None:
            raise ValueError("audit.sink: postgres needs 'postgres'; set it, or audit.sink to 'log'")
        if self.tasks is not None and self.postgres is None:
            raise ValueError("tasks needs 'postgres', where they are kept")
        if self.names == "plain" and self.only_server is None:
            raise ValueError(
                "names: plain needs exactly one server, named in 'servers' or discovery.kubernetes.only: "
                "several could offer the same name; leave it at 'prefixed'"
            )
        return self

    @property
    def only_server(self) -> str | None:
        """The name of the one server that there can be; None where there may be several."""
        if self.discovery is not None:
            return self.discovery.kubernetes.only
        return self.servers[0].name if len(self.servers) == 1 else None

    def public(self) -> dict[str, Any]:
        """The effective settings as JSON data."""
        return self.model_dump(mode="json")
