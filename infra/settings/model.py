"""All settings of a stack, and what they must agree on with each other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, Literal
from urllib.parse import urlsplit

from pydantic import model_validator

from infra.naming import RESERVED
from infra.settings.aws import Aws
from infra.settings.backup import Backup
from infra.settings.docker import check_docker
from infra.settings.edge import Edge
from infra.settings.external_secrets import ExternalSecrets
from infra.settings.fields import Group, Label, reject
from infra.settings.groups import (
    AnyPostgres,
    AnyRedis,
    Auth,
    Cluster,
    ExternalPostgres,
    ExternalRedis,
    Images,
    Network,
    PostgresStore,
    Quota,
    RedisStore,
    takes_local_images,
)
from infra.settings.mesh import Mesh
from infra.settings.monitoring import Monitoring
from infra.settings.servers import AnyServer, CustomServer
from infra.settings.telemetry import Logging, Tracing
from infra.settings.workloads import Gateway

_HOST_LABEL: Final = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
HOST_NAME: Final = rf"({_HOST_LABEL}\.)+(?=.*[a-z]){_HOST_LABEL}"
"""The last part of a name is never a number: that would be an address, for which there is no certificate."""


class Settings(Group):
    """What a stack file says."""

    environment: Literal["development", "production"]
    cluster: Cluster
    images: Images = Images()
    gateway: Gateway = Gateway()
    servers: Mapping[Label, AnyServer] = {}
    redis: AnyRedis = RedisStore()
    postgres: AnyPostgres = PostgresStore()
    auth: Auth
    network: Network = Network()
    mesh: Mesh | None = None
    """Istio is told nothing when left out."""
    tracing: Tracing | None = None
    """No traces are recorded when left out."""
    logging: Logging | None = None
    """Logs stay with the nodes when left out."""
    monitoring: Monitoring | None = None
    """Nothing is declared for Prometheus and Grafana when left out; metrics are there all the same."""
    quota: Quota = Quota()
    aws: Aws | None = None
    """The account around an EKS cluster; other clusters have none."""
    edge: Edge | None = None
    """A front door with TLS, by the Gateway API; `gateway.expose` says how it is reached when left out."""
    external_secrets: ExternalSecrets | None = None
    """The program makes the secrets when left out; they are then in Pulumi's state, encrypted."""
    backup: Backup | None = None
    """Nothing is backed up when left out."""

    @property
    def production(self) -> bool:
        """Whether losing data or availability would hurt somebody."""
        return self.environment == "production"

    @model_validator(mode="after")
    def _fits_its_place(self) -> Settings:
        if self.cluster.docker is not None:
            check_docker(self)
        elif not self.network.api_server_cidrs:
            reject("network.api_server_cidrs", "missing")
        if self.aws is not None and self.cluster.context is not None:
            self.aws.check_context(self.cluster.context)
        return self

    @model_validator(mode="after")
    def _servers_fit(self) -> Settings:
        for name, server in self.servers.items():
            if name in RESERVED:
                reject(f"servers.{name}", "is the name of a part of the platform; choose another")
            if server.timeout_seconds > self.gateway.timeout_seconds:
                reject(
                    f"servers.{name}.timeout_seconds",
                    f"must not be more than gateway.timeout_seconds, which is {self.gateway.timeout_seconds}",
                    server.timeout_seconds,
                )
        return self

    @model_validator(mode="after")
    def _servers_are_late_before_requests_are(self) -> Settings:
        seconds, least = self.gateway.requests.deadline_seconds, self.gateway.timeout_seconds
        if seconds < least:
            reject(
                "gateway.requests.deadline_seconds",
                f"must not be less than gateway.timeout_seconds, which is {least}",
                seconds,
            )
        return self

    @model_validator(mode="after")
    def _names_are_clear(self) -> Settings:
        if self.gateway.names == "plain" and len(self.servers) != 1:
            reject(
                "gateway.names",
                f"must be prefixed for {len(self.servers)} servers: plain names don't say whose they are",
                self.gateway.names,
            )
        return self

    @model_validator(mode="after")
    def _images_reach_the_nodes(self) -> Settings:
        context = self.cluster.context
        if self.production or context is None or not self.images.local:
            return self
        if not takes_local_images(context):
            reject(
                "images.registry",
                f"must be a registry that the nodes of {context} pull from, with images.push: true; "
                "only kind and Docker's own clusters take this machine's images",
                self.images.registry,
            )
        return self

    @model_validator(mode="after")
    def _registry_is_the_accounts(self) -> Settings:
        if self.aws is None or not self.aws.repositories:
            return self
        own = f"{self.aws.account}.dkr.ecr.{self.aws.region}.amazonaws.com/"
        if not self.images.registry.startswith(own):
            reject(
                "images.registry",
                f"must begin with {own} where aws.repositories makes the repositories",
                self.images.registry,
            )
        return self

    @model_validator(mode="after")
    def _one_front_door(self) -> Settings:
        if self.edge is None:
            return self
        gateway = self.gateway
        if gateway.expose != "none":
            reject(
                "gateway.expose", "must be none where edge is set: a second door has no TLS", gateway.expose
            )
        named = [host for host in gateway.allowed_hosts if re.fullmatch(HOST_NAME, host)]
        if not named or len(named) < len(gateway.allowed_hosts):
            reject(
                "gateway.allowed_hosts",
                "must name the front door's hosts, in small letters, without ports and wildcards",
                list(gateway.allowed_hosts),
            )
        if urlsplit(self.auth.audience).hostname not in named:
            reject("auth.audience", "must be at one of gateway.allowed_hosts", self.auth.audience)
        if self.edge.stream_seconds < gateway.requests.deadline_seconds:
            reject(
                "edge.stream_seconds",
                "must not be less than gateway.requests.deadline_seconds, which is "
                f"{gateway.requests.deadline_seconds:g}",
                self.edge.stream_seconds,
            )
        if not self.edge.proxies.beside and gateway.client_cidrs != ("0.0.0.0/0",):
            reject(
                "gateway.client_cidrs",
                "must be left out where edge.proxies are elsewhere: those see the clients",
                list(gateway.client_cidrs),
            )
        return self

    @model_validator(mode="after")
    def _secrets_have_a_source(self) -> Settings:
        external = self.external_secrets
        if external is None:
            return self
        if external.store is None and self.aws is None:
            reject("external_secrets.store", "must name a store of the cluster where there is no aws")
        if self.auth.dev_issuer:
            reject(
                "auth.dev_issuer",
                "must be false where external_secrets is set: the program makes its key",
                self.auth.dev_issuer,
            )
        for place, name, keys in self._named_secrets():
            external.check_has(place, name, *keys)
        return self

    def _named_secrets(self) -> Iterator[tuple[str, str, tuple[str, ...]]]:
        """Every Secret that a setting names: where, which, and the keys that are read of it."""
        if isinstance(self.redis, ExternalRedis):
            yield "redis.password", self.redis.password.name, (self.redis.password.key,)
        if isinstance(self.postgres, ExternalPostgres):
            yield "postgres.credentials", self.postgres.credentials, ("username", "password")
        collector = self.tracing.collector if self.tracing else None
        if collector is not None and collector.export.token is not None:
            token = collector.export.token
            yield "tracing.collector.export.token", token.name, (token.key,)
        for name, server in self.servers.items():
            for variable, secret in server.secret_env.items() if isinstance(server, CustomServer) else ():
                yield f"servers.{name}.secret_env.{variable}", secret.name, (secret.key,)
        if self.backup is not None and self.backup.bucket is not None:
            keys = ("access_key_id", "secret_access_key")
            yield "backup.bucket.credentials", self.backup.bucket.credentials, keys

    @model_validator(mode="after")
    def _backups_have_a_place(self) -> Settings:
        if self.backup is not None:
            self.backup.check(self.aws, self.postgres, production=self.production)
        return self

    @model_validator(mode="after")
    def _archive_has_a_bucket(self) -> Settings:
        replication = None if isinstance(self.postgres, ExternalPostgres) else self.postgres.replication
        if replication is None or replication.archive is None:
            return self
        if self.aws is None:
            reject("postgres.replication.archive", "needs aws, which has the bucket")
        days, most = replication.archive.retention_days, self.aws.backups.retention_days
        if days >= most:
            reject(
                "postgres.replication.archive.retention_days",
                f"must be less than aws.backups.retention_days, which is {most}: the bucket's rule "
                "would delete what a restore needs",
                days,
            )
        return self

    @model_validator(mode="after")
    def _stores_survive_a_node(self) -> Settings:
        for name, store in (("redis", self.redis), ("postgres", self.postgres)):
            if isinstance(store, ExternalRedis | ExternalPostgres):
                continue
            if store.single and store.replication:
                reject(f"{name}.single", "must be left out where replication is set", store.single)
            if self.production and not store.replication and not store.single:
                reject(
                    f"{name}.replication",
                    "must be set in production, {} for the defaults; or mode: external; or single: true, to "
                    "accept that one server is away for as long as its node is",
                )
        if self.production and isinstance(self.postgres, PostgresStore) and self.postgres.replication:
            instances = self.postgres.replication.instances
            if instances < 3:  # noqa: PLR2004 - a primary, a standby that confirms, and one that may be away
                reject(
                    "postgres.replication.instances",
                    "must be 3 or more in production: with two, writes wait while either is away",
                    instances,
                )
        return self

    @model_validator(mode="after")
    def _fit_for_production(self) -> Settings:
        if not self.production:
            return self
        if self.auth.dev_issuer:
            reject(
                "auth.dev_issuer",
                "must be false in production: name the real issuers in auth.issuers",
                self.auth.dev_issuer,
            )
        if not self.auth.audience.startswith("https:"):
            reject(
                "auth.audience",
                "must be an https URL in production: bearer tokens travel to it",
                self.auth.audience,
            )
        if self.cluster.embedded is not None:
            reject(
                "cluster.embedded",
                "is one machine and not for production: name a kubeconfig context",
                self.cluster.embedded,
            )
        for name, store in (("redis", self.redis), ("postgres", self.postgres)):
            if isinstance(store, ExternalRedis | ExternalPostgres) and not store.tls:
                reject(f"{name}.tls", "must be true in production: passwords travel to it", store.tls)
        if self.images.local or not self.images.push:
            reject(
                "images.push",
                "must be true in production, with a registry that every node reaches",
                self.images.push,
            )
        return self
