"""Settings of what the services stand on: cluster, images, stores, trust, network."""

from __future__ import annotations

from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from infra import naming
from infra.quantities import size_bytes
from infra.settings.docker_engine import Docker
from infra.settings.fields import (
    Certificates,
    Cidr,
    DatabaseName,
    Group,
    Host,
    HttpsUrl,
    Label,
    PinnedImage,
    Port,
    PublicKey,
    Registry,
    Size,
    Text,
    Url,
    reject,
)
from infra.settings.replication import PostgresReplication, RedisReplication
from infra.settings.workloads import Limits, Requests, Resources, SecretKey, Volume
from infra.versions import BASE_IMAGE

DEV_ISSUER_NAME: Final = "dev"
_RDS: Final = ".rds.amazonaws.com"


class Cluster(Group):
    """Where the stack runs: an embedded cluster by its name, what a kubeconfig context names, or Docker."""

    embedded: Label | None = None
    context: Text | None = None
    kubeconfig: Text | None = None
    """Path of the kubeconfig that has `context`; KUBECONFIG or ~/.kube/config when left out."""
    docker: Docker | None = None
    """A Docker engine in place of a Kubernetes."""

    @property
    def context_name(self) -> str:
        """The kubeconfig context that deployments use."""
        return self.context or naming.embedded_context(str(self.embedded))

    @model_validator(mode="after")
    def _exactly_one(self) -> Cluster:
        if self.docker is not None:
            for key in ("embedded", "context", "kubeconfig"):
                if (value := getattr(self, key)) is not None:
                    reject(
                        key, "must be left out where cluster.docker is set: a stack runs in one place", value
                    )
            return self
        if self.embedded is None and self.context is None:
            reject(
                "context",
                "must name a kubeconfig context, or cluster.embedded an embedded cluster; "
                "or set cluster.docker for a Docker engine",
            )
        if self.embedded is not None and self.context is not None:
            reject(
                "context",
                "must be left out where cluster.embedded is set: a stack runs on one cluster",
                self.context,
            )
        if self.embedded is not None and self.kubeconfig is not None:
            reject("kubeconfig", "must be left out: an embedded cluster brings its own", self.kubeconfig)
        return self


def takes_local_images(context: str) -> bool:
    """Whether a cluster's nodes get images of this machine's Docker engine without a registry.

    Args:
        context: Its kubeconfig context; kind and the engines' own clusters have fixed names.
    """
    return context.startswith("kind-") or context in {"docker-desktop", "orbstack", "rancher-desktop"}


class Images(Group):
    """How the platform's own images are built and named."""

    registry: Registry = "localhost/mcp-platform"
    push: bool = False
    """Whether a build ends in the registry; otherwise it is loaded where it was built."""
    base: PinnedImage = BASE_IMAGE
    ca_bundle: Text | None = None
    """Path of the PEM certificates that builds must trust beside the usual ones."""
    platforms: tuple[Literal["linux/amd64", "linux/arm64"], ...] = ()
    """The builder's own when left out."""

    @property
    def local(self) -> bool:
        """Whether the names can only be resolved on the machine that built them."""
        return self.registry.split("/")[0].split(":")[0] == "localhost"

    @model_validator(mode="after")
    def _can_be_pushed(self) -> Images:
        if self.push and self.local:
            reject(
                "push", f"needs a registry that others reach; images.registry is {self.registry}", self.push
            )
        if len(self.platforms) > 1 and not self.push:
            reject(
                "platforms", "several need images.push: a local image has one platform", list(self.platforms)
            )
        return self


class Store(Group):
    """A data store inside the cluster: one replica on a volume."""

    mode: Literal["in-cluster"] = "in-cluster"
    volume: Volume = Volume()
    resources: Resources = Resources(requests=Requests(cpu="100m"), limits=Limits(memory="256Mi"))
    image: PinnedImage | None = None
    """Instead of the image that is built from Debian's packages, with the official image's entry point."""
    exporter_image: PinnedImage | None = None
    """Of the metrics exporter; needed where `image` is set."""
    single: bool = False
    """Whether production may do with one server, which is away for as long as its node is."""

    @model_validator(mode="after")
    def _whole(self) -> Store:
        if (self.image is None) != (self.exporter_image is None):
            key = "exporter_image" if self.exporter_image is None else "image"
            reject(key, "must be set, too: image and exporter_image replace the built image together")
        memory, most = self.resources.requests.memory, self.resources.limits.memory
        if size_bytes(memory) != size_bytes(most):
            reject(
                "resources.requests.memory",
                f"must equal limits.memory, which is {most}: no data store must be evicted first",
                memory,
            )
        return self


class RedisStore(Store):
    """Redis inside the cluster."""

    replication: RedisReplication | None = None
    """One server when left out."""


class PostgresStore(Store):
    """Postgres inside the cluster."""

    replication: PostgresReplication | None = None
    """One server when left out. `volume` and `resources` are those of each instance."""

    @model_validator(mode="after")
    def _one_image(self) -> PostgresStore:
        if self.replication is not None and self.image is not None:
            reject("image", "is of a single server; set replication.image instead", self.image)
        return self


class ExternalStore(Group):
    """A data store that somebody else runs."""

    mode: Literal["external"]
    host: Host
    cidrs: tuple[Cidr, ...] = Field(min_length=1)
    """Networks that `host` resolves into; the only ones that traffic is let out to."""
    tls: bool = True


class ExternalRedis(ExternalStore):
    """A Redis or Valkey endpoint."""

    port: Port = 6379
    password: SecretKey


class ExternalPostgres(ExternalStore):
    """A Postgres endpoint."""

    port: Port = 5432
    database: DatabaseName = "mcp"
    credentials: Label
    """A Kubernetes Secret with username and password of a role that may create schemas and roles."""
    ca: Certificates | None = None
    """PEM of the authorities that its certificate is checked against; the system's when left out, which
    RDS's are not among."""

    @model_validator(mode="after")
    def _can_be_checked(self) -> ExternalPostgres:
        if self.tls and self.ca is None and self.host.endswith(_RDS):
            reject(
                "ca",
                "must be set for RDS, whose certificates no system knows: the region's bundle of "
                "https://truststore.pki.rds.amazonaws.com",
            )
        return self


AnyRedis = Annotated[RedisStore | ExternalRedis, Field(discriminator="mode")]
AnyPostgres = Annotated[PostgresStore | ExternalPostgres, Field(discriminator="mode")]


class Issuer(Group):
    """Somebody whose tokens are accepted."""

    name: Label
    issuer: HttpsUrl
    """The tokens' `iss`."""
    public_key: PublicKey | None = None
    """PEM of the P-256 key that verifies its ES256 signatures."""
    jwks_uri: HttpsUrl | None = None
    """Where its keys are published instead, as a JSON Web Key Set."""
    cidrs: tuple[Cidr, ...] = ()
    """Networks that `jwks_uri` resolves into; the gateway is let out to their port 443."""

    @model_validator(mode="after")
    def _has_keys(self) -> Issuer:
        if (self.public_key is None) == (self.jwks_uri is None):
            reject("public_key", "must be set, or jwks_uri instead: the keys come one way")
        if (self.jwks_uri is None) != (not self.cidrs):
            reject("cidrs", "must be set where jwks_uri is, and only there", list(self.cidrs))
        if self.jwks_uri is not None and urlsplit(self.jwks_uri).port not in {None, 443}:
            reject("jwks_uri", "must have HTTPS's own port: the gateway is let out to 443", self.jwks_uri)
        return self


class Auth(Group):
    """Whose tokens the gateway accepts."""

    audience: Url
    """The gateway's canonical resource URI, the tokens' `aud`."""
    dev_issuer: bool = False
    """Whether the stack makes a signing key of its own, for `mcpctl token`."""
    issuers: tuple[Issuer, ...] = ()
    service_accounts: HttpsUrl | None = None
    """The cluster's own issuer, for agents that come with the token of a Kubernetes service account. Which of
    them may do what is the policy's to say: such a token has no scopes."""

    @model_validator(mode="after")
    def _somebody_is_trusted(self) -> Auth:
        if not self.issuers and not self.dev_issuer and self.service_accounts is None:
            reject(
                "issuers",
                "must name at least one: nobody could call the gateway (development: dev_issuer: true)",
            )
        names = [issuer.name for issuer in self.issuers] + [DEV_ISSUER_NAME] * self.dev_issuer
        for name in {name for name in names if names.count(name) > 1}:
            reject("issuers", f"must have names of their own; {name} is there twice", names)
        return self


class Network(Group):
    """What the network policies must know about the cluster around the stack."""

    api_server_cidrs: tuple[Cidr, ...] = ()
    """Addresses of the API server behind the `kubernetes` Service; every stack on Kubernetes names them."""
    api_server_port: Port = 6443
    dns_cidrs: tuple[Cidr, ...] = ()
    """Addresses of DNS servers that are no pods, such as NodeLocal DNSCache."""
    monitoring_namespace: Label = "monitoring"
    """Where Prometheus scrapes from."""


class Quota(Group):
    """What the stack's namespace can take from its cluster."""

    pods: int = Field(default=100, ge=1)
    cpu: Text = "32"
    memory: Size = "64Gi"
    storage: Size = "200Gi"
