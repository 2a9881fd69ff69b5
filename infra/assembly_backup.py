"""Backups of a stack: where they go, and what they are made of."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from infra.assembly_images import PushedTo, service_image, store_images
from infra.components.aws import naming
from infra.components.backup import Backup
from infra.components.backup_configuration import configuration
from infra.components.backup_flows import backup_flows
from infra.components.backup_pods import BackupArgs, Place
from infra.components.postgres import PostgresEndpoint
from infra.components.redis import RedisEndpoint
from infra.flows import Flow
from infra.naming import (
    BACKUP,
    BACKUP_CONFIGURATION,
    BACKUP_POSTGRES,
    BACKUP_REDIS,
    BACKUPS_OF,
    POSTGRES,
    RESTORE,
    RESTORE_DRILL,
    RESTORES_OF,
    Stack,
)
from infra.settings import Settings
from infra.settings.aws import Aws
from infra.settings.backup import Bucket, Schedule
from infra.settings.groups import ExternalPostgres, ExternalRedis, PostgresStore
from infra.settings.schedule import longest_gap

ROLE_ANNOTATION = "eks.amazonaws.com/role-arn"


@dataclass(frozen=True, kw_only=True, slots=True)
class Stores:
    """What is backed up.

    Attributes:
        postgres: What is dumped.
        redis: What is copied, where it is the stack's own.
        server: Image of the stack's own Postgres, if there is one; drills restore to another of it.
    """

    postgres: PostgresEndpoint
    redis: RedisEndpoint
    server: pulumi.Input[str]


def assemble_backup(
    stack: Stack, settings: Settings, pushed_to: PushedTo, stores: Stores, opts: pulumi.ResourceOptions
) -> list[Flow]:
    """Declare backups, where the stack has any.

    Returns:
        The connections that their pods open.
    """
    if settings.backup is None:
        return []
    server = stores.server
    if isinstance(settings.postgres, ExternalPostgres) or settings.postgres.replication:
        server, _ = store_images(POSTGRES, PostgresStore(), settings, pushed_to)
    args = BackupArgs(
        stack=stack,
        settings=settings.backup,
        place=_place(stack, settings.aws, settings.backup.bucket),
        image=service_image(BACKUP, settings, pushed_to),
        postgres_image=server,
        postgres=stores.postgres,
        redis=None if isinstance(settings.redis, ExternalRedis) else stores.redis,
        configuration=configuration(settings),
    )
    Backup(BACKUP, args, opts)
    return backup_flows(args, settings.network)


def scheduled(settings: Settings) -> dict[str, Schedule]:
    """The jobs that run by themselves, and when."""
    if settings.backup is None:
        return {}
    wanted = settings.backup
    own_redis = None if isinstance(settings.redis, ExternalRedis) else wanted.redis
    found = {
        BACKUP_CONFIGURATION: wanted.configuration,
        BACKUP_POSTGRES: wanted.postgres,
        BACKUP_REDIS: own_redis,
        RESTORE_DRILL: wanted.drill,
    }
    return {name: when for name, when in found.items() if when is not None}


def patience(settings: Settings) -> dict[str, int]:
    """The most seconds between two successes of each of these jobs, the last one being as late as it may."""
    if settings.backup is None:
        return {}
    late = settings.backup.starting_deadline_seconds
    return {
        name: longest_gap(when.schedule) + late + when.deadline_seconds
        for name, when in scheduled(settings).items()
    }


def _place(stack: Stack, aws: Aws | None, bucket: Bucket | None) -> Place:
    if bucket is not None:
        return Place(
            bucket=bucket.name,
            region=bucket.region,
            endpoint=bucket.endpoint,
            port=bucket.port,
            encryption=bucket.encryption,
            credentials=bucket.credentials,
        )
    assert aws is not None  # noqa: S101 - the settings say that one of both is there
    name = naming.bucket(stack, aws)
    roles = {
        account: {ROLE_ANNOTATION: naming.role_arn(stack, aws, role)}
        for role, accounts in ((BACKUP, BACKUPS_OF), (RESTORE, RESTORES_OF))
        for account in accounts
    }
    return Place(
        bucket=name,
        region=aws.region,
        encryption="aws:kms",
        key=naming.key_alias_arn(aws, name),
        annotations=roles if aws.identity == "irsa" else {},
        agent=aws.identity == "pod-identity",
    )
