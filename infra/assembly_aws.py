"""What a stack on EKS keeps in its AWS account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
import pulumi_aws

from infra.components.aws import grants
from infra.components.aws.backup_bucket import BackupBucket, BackupBucketArgs
from infra.components.aws.documents import Statement
from infra.components.aws.ecr_repository import EcrRepository, EcrRepositoryArgs
from infra.components.aws.managed_postgres import ManagedPostgres, ManagedPostgresArgs
from infra.components.aws.managed_redis import ManagedRedis, ManagedRedisArgs
from infra.components.aws.workload_identity import WorkloadIdentity, WorkloadIdentityArgs
from infra.components.postgres import ArchivePlace
from infra.labels import INSTANCE, PART_OF
from infra.naming import (
    BACKUP,
    BACKUPS_OF,
    EDGE,
    EXTERNAL_SECRETS,
    POSTGRES,
    PROJECT,
    REDIS,
    RESTORE,
    RESTORES_OF,
    Stack,
)
from infra.settings.aws import Aws

BACKUPS: Final = "backups"


@dataclass(frozen=True, kw_only=True, slots=True)
class AwsSide:
    """What else of the stack refers to.

    Attributes:
        repositories: By image; it must be there before the image is pushed.
        archive: Where Postgres' archive is, if it has one.
        outputs: The stack's outputs about it.
    """

    repositories: Mapping[str, EcrRepository]
    archive: ArchivePlace | None
    outputs: Mapping[str, Any]


def assemble_aws(stack: Stack, aws: Aws, registry: str, images: Sequence[str], *, archived: bool) -> AwsSide:
    """Declare the AWS side of a stack.

    Args:
        stack: The stack.
        aws: Its account.
        registry: Where its images are pushed to.
        images: Their names below the registry.
        archived: Whether Postgres' archive is in the bucket.
    """
    provider = _account(stack, aws)
    opts = pulumi.ResourceOptions(providers=[provider])
    path = registry.partition("/")[2]
    repositories = {
        image: EcrRepository(image, EcrRepositoryArgs(repository=f"{path}/{image}"), opts)
        for image in (images if aws.repositories else ())
    }
    bucket = BackupBucket(BACKUPS, BackupBucketArgs(stack=stack, aws=aws), opts)
    identities = {
        BACKUP: _identity(stack, aws, BACKUP, BACKUPS_OF, grants.write_backups(stack, aws), opts),
        RESTORE: _identity(stack, aws, RESTORE, RESTORES_OF, grants.read_backups(stack, aws), opts),
    }
    if stack.secrets and stack.secrets.of_account:
        statements = grants.read_secrets(aws, stack.secrets)
        identities[EXTERNAL_SECRETS] = _identity(
            stack,
            aws,
            EXTERNAL_SECRETS,
            (EXTERNAL_SECRETS,),
            statements,
            opts,
            namespace=aws.operators_namespace,
        )
    archive = None
    if archived:
        grant = grants.archive_database(stack, aws, POSTGRES)
        identity = identities[POSTGRES] = _identity(stack, aws, POSTGRES, (POSTGRES,), grant, opts)
        annotated = identity.role_arn if aws.identity == "irsa" else ""
        archive = ArchivePlace(bucket=bucket.bucket, identity=identity, role_arn=annotated)
    roles = {name: identity.role_arn for name, identity in identities.items()}
    outputs: dict[str, Any] = {"backups": bucket.bucket, "roles": roles, **_stores(stack, aws, opts)}
    if aws.waf:
        from infra.components.aws.web_acl import WebAcl, WebAclArgs  # noqa: PLC0415 - few stacks need AWS's largest module

        outputs["webAcl"] = WebAcl(EDGE, WebAclArgs(stack=stack, settings=aws.waf), opts).arn
    return AwsSide(repositories=repositories, archive=archive, outputs=outputs)


def _stores(stack: Stack, aws: Aws, opts: pulumi.ResourceOptions) -> dict[str, pulumi.Output[str]]:
    """Managed stores, and where they are: `postgres` and `redis` name it."""
    outputs: dict[str, pulumi.Output[str]] = {}
    if aws.vpc and aws.database:
        args = ManagedPostgresArgs(
            stack=stack, settings=aws.database, vpc=aws.vpc, protected=aws.delete_protection
        )
        outputs |= ManagedPostgres(POSTGRES, args, opts).outputs
    if aws.vpc and aws.cache:
        cache = ManagedRedisArgs(stack=stack, settings=aws.cache, vpc=aws.vpc)
        outputs |= ManagedRedis(REDIS, cache, opts).outputs
    return outputs


def _account(stack: Stack, aws: Aws) -> pulumi_aws.Provider:
    """The one provider, which refuses to work in another account than the stack's."""
    return pulumi_aws.Provider(
        "aws",
        region=aws.region,
        allowed_account_ids=[aws.account],
        default_tags=pulumi_aws.ProviderDefaultTagsArgs(tags={PART_OF: PROJECT, INSTANCE: stack.name}),
    )


def _identity(
    stack: Stack,
    aws: Aws,
    name: str,
    service_accounts: Sequence[str],
    statements: Sequence[Statement],
    opts: pulumi.ResourceOptions,
    *,
    namespace: str | None = None,
) -> WorkloadIdentity:
    args = WorkloadIdentityArgs(
        stack=stack,
        aws=aws,
        namespace=namespace or stack.namespace,
        service_accounts=service_accounts,
        statements=statements,
    )
    return WorkloadIdentity(name, args, opts)
