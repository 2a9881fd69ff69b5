"""Settings of the AWS account around an EKS cluster: what the platform keeps there, and who may reach it."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from infra.settings.fields import Group, HttpsUrl, Label, matching, reject


def _matching(pattern: str, wanted: str) -> AfterValidator:
    return AfterValidator(matching(re.compile(pattern), wanted))


_SIZE = r"(nano|micro|small|medium|large|[0-9]*xlarge)"
_ID = r"[0-9a-f]{8}([0-9a-f]{9})?"

Region = Annotated[
    str,
    _matching(
        r"(af|ap|ca|eu|il|me|mx|sa|us)-(north|south|east|west|central|(north|south)(east|west))-[1-9]",
        "a region such as eu-central-1; China's, governments' and sovereign clouds are not supported",
    ),
]
AccountId = Annotated[str, _matching(r"[0-9]{12}", "twelve digits, quoted")]
ClusterName = Annotated[
    str,
    _matching(
        r"[0-9A-Za-z][0-9A-Za-z_-]{0,99}", "the name of an EKS cluster, which is no ARN, such as mcp-prod"
    ),
]
BucketName = Annotated[
    str,
    _matching(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "a bucket's name: 3 to 63 of a-z, 0-9, dots and hyphens"),
]
VpcId = Annotated[str, _matching(f"vpc-{_ID}", "a VPC's id, vpc- and 8 or 17 hexadecimal digits")]
SubnetId = Annotated[str, _matching(f"subnet-{_ID}", "a subnet's id, subnet- and 8 or 17 hexadecimal digits")]
SecurityGroupId = Annotated[
    str, _matching(f"sg-{_ID}", "a security group's id, sg- and 8 or 17 hexadecimal digits")
]
InstanceClass = Annotated[
    str, _matching(rf"db\.[a-z]+[0-9]+[a-z-]*\.{_SIZE}", "an RDS class such as db.m7g.large")
]
NodeType = Annotated[
    str, _matching(rf"cache\.[a-z]+[0-9]+[a-z]*\.{_SIZE}", "a node type such as cache.m7g.large")
]


class Backups(Group):
    """The bucket that backups go to."""

    retention_days: int = Field(default=35, ge=1, le=3650)
    """How long an older version is kept before it is deleted."""
    lock_days: int = Field(default=30, ge=1, le=3650)
    """How long nobody, not even the account's root, can delete a version (object lock, compliance mode)."""
    archive_days: int = Field(default=0, ge=0, le=3650)
    """After how many days a version moves to Glacier Instant Retrieval; 0 for never."""
    log_bucket: BucketName | None = None
    """An existing bucket that gets the access log."""

    @model_validator(mode="after")
    def _locked_for_less_than_it_is_kept(self) -> Backups:
        if self.lock_days > self.retention_days:
            reject(
                "lock_days",
                f"must not be more than retention_days, which is {self.retention_days}: what is locked can't "
                "be deleted",
                self.lock_days,
            )
        if self.archive_days >= self.retention_days:
            reject(
                "archive_days",
                f"must be less than retention_days, which is {self.retention_days}: S3 moves nothing that it "
                "has deleted",
                self.archive_days,
            )
        return self


class Vpc(Group):
    """Where managed stores are placed."""

    id: VpcId
    subnets: tuple[SubnetId, ...] = Field(min_length=2)
    """Private subnets, in two availability zones or more."""
    clients: tuple[SecurityGroupId, ...] = Field(min_length=1)
    """Security groups of the nodes (or pods) that connect."""

    @model_validator(mode="after")
    def _each_once(self) -> Vpc:
        for key, ids in (("subnets", self.subnets), ("clients", self.clients)):
            if len(set(ids)) < len(ids):
                reject(key, "must differ from each other", list(ids))
        return self


class Rds(Group):
    """A PostgreSQL instance with a standby in another zone."""

    instance_class: InstanceClass = "db.m7g.large"
    version: Literal["16", "17", "18"] = "17"
    storage_gib: int = Field(default=100, ge=20, le=65536)
    max_storage_gib: int = Field(default=500, ge=20, le=65536)
    """Up to which it grows by itself."""
    backup_days: int = Field(default=35, ge=1, le=35)
    """How far back it can be restored to any second."""

    @model_validator(mode="after")
    def _can_grow(self) -> Rds:
        if self.max_storage_gib < self.storage_gib:
            reject(
                "max_storage_gib",
                f"must not be less than storage_gib, which is {self.storage_gib}",
                self.max_storage_gib,
            )
        return self


class ElastiCache(Group):
    """A Valkey primary with replicas in other zones."""

    node_type: NodeType = "cache.m7g.large"
    version: Literal["7.2", "8.0"] = "8.0"
    replicas: int = Field(default=1, ge=1, le=5)
    snapshot_days: int = Field(default=7, ge=1, le=35)


class Waf(Group):
    """A web ACL for an Application Load Balancer in front of the gateway."""

    requests_per_five_minutes: int = Field(default=15_000, ge=10, le=2_000_000_000)
    """Of one client address; more are refused with 403."""


class Aws(Group):
    """The AWS side of a stack on EKS."""

    region: Region
    account: AccountId
    cluster: ClusterName
    """The EKS cluster's name."""
    identity: Literal["pod-identity", "irsa"] = "pod-identity"
    """How pods get a role: by EKS Pod Identity, or by the cluster's OIDC provider (IRSA)."""
    oidc_issuer: HttpsUrl | None = None
    """The cluster's OIDC issuer; for irsa."""
    repositories: bool = True
    """Whether the images' ECR repositories are made."""
    backups: Backups = Backups()
    vpc: Vpc | None = None
    database: Rds | None = None
    """A managed PostgreSQL to be made; `postgres` then names its endpoint."""
    cache: ElastiCache | None = None
    """A managed Valkey to be made; `redis` then names its endpoint."""
    waf: Waf | None = None
    """A web ACL to be made; the output `webAcl` is its ARN, which the load balancer's controller is given."""
    delete_protection: bool = True
    """Whether a database refuses to be deleted."""
    operators_namespace: Label = "external-secrets"
    """Where the External Secrets Operator runs."""

    @model_validator(mode="after")
    def _consistent(self) -> Aws:
        if (self.identity == "irsa") != (self.oidc_issuer is not None):
            reject("oidc_issuer", "must be set where identity is irsa, and only there", self.oidc_issuer)
        if (self.database or self.cache) and self.vpc is None:
            reject("vpc", "must say where the managed stores are placed")
        return self

    @model_validator(mode="after")
    def _issuer_is_the_clusters(self) -> Aws:
        if self.oidc_issuer is None:
            return self
        parts = urlsplit(self.oidc_issuer)
        if parts.port or not parts.path.strip("/") or parts.path.endswith("/"):
            reject(
                "oidc_issuer",
                "must be as EKS tells it, without port and slash at its end: aws eks describe-cluster "
                "--query cluster.identity.oidc.issuer",
                self.oidc_issuer,
            )
        named = re.match(r"oidc\.eks\.([a-z0-9-]+)\.", parts.hostname or "")
        if named and named[1] != self.region:
            reject("oidc_issuer", f"must be of region {self.region}, where the cluster is", self.oidc_issuer)
        return self

    def check_context(self, context: str) -> None:
        """Reject a kubeconfig context that is another cluster's ARN, as the AWS CLI calls contexts."""
        own = f"arn:aws:eks:{self.region}:{self.account}:cluster/{self.cluster}"
        if context.startswith("arn:") and context != own:
            reject("cluster.context", f"must be {own}, which aws says, or an alias of it", context)
