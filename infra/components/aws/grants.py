"""What the platform's services may do in AWS. Pure, and known at preview: every resource has a fixed name."""

from __future__ import annotations

from collections.abc import Sequence

from infra.components.aws import naming
from infra.components.aws.documents import Statement
from infra.naming import Stack
from infra.secret_source import SecretSource
from infra.settings.aws import Aws


def write_backups(stack: Stack, aws: Aws) -> list[Statement]:
    """Add backups. Nothing can be read back, changed or deleted with it: versions and locks see to that."""
    bucket = naming.bucket(stack, aws)
    return [
        Statement(
            sid="AddObjects",
            actions=["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
            resources=[f"{naming.bucket_arn(bucket)}/*"],
        ),
        _list(bucket),
        # A multipart upload is sealed by decrypting the data key that it was begun with.
        _key(aws, bucket, ["kms:GenerateDataKey", "kms:Decrypt"]),
    ]


def read_backups(stack: Stack, aws: Aws) -> list[Statement]:
    """Restore from any version."""
    bucket = naming.bucket(stack, aws)
    return [
        Statement(
            sid="ReadObjects",
            actions=["s3:GetObject", "s3:GetObjectVersion"],
            resources=[f"{naming.bucket_arn(bucket)}/*"],
        ),
        _list(bucket),
        _key(aws, bucket, ["kms:Decrypt"]),
    ]


def archive_database(stack: Stack, aws: Aws, folder: str) -> list[Statement]:
    """Keep a database's archive in a folder. What is deleted there stays as a version while it is locked."""
    bucket = naming.bucket(stack, aws)
    return [
        Statement(
            sid="KeepArchive",
            actions=[
                "s3:PutObject",
                "s3:GetObject",
                "s3:DeleteObject",
                "s3:AbortMultipartUpload",
                "s3:ListMultipartUploadParts",
            ],
            resources=[f"{naming.bucket_arn(bucket)}/{folder}/*"],
        ),
        _list(bucket),
        _key(aws, bucket, ["kms:GenerateDataKey", "kms:Decrypt"]),
    ]


def read_secrets(aws: Aws, source: SecretSource) -> list[Statement]:
    """What External Secrets copies into the cluster: the stack's entries, and no others."""
    named = [f"{entry}-??????" for entry in sorted(set(source.entries.values()))]
    return [
        Statement(
            sid="ReadSecrets",
            actions=["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"],
            resources=[naming.secret_arn(aws, entry) for entry in (f"{source.prefix}*", *named)],
        )
    ]


def _list(bucket: str) -> Statement:
    return Statement(
        sid="ListBucket",
        actions=["s3:ListBucket", "s3:GetBucketLocation"],
        resources=[naming.bucket_arn(bucket)],
    )


def _key(aws: Aws, bucket: str, actions: Sequence[str]) -> Statement:
    """The bucket's own key, by its alias, and only on behalf of S3."""
    return Statement(
        sid="UseKey",
        actions=actions,
        resources=[naming.keys_arn(aws)],
        conditions={
            "ForAnyValue:StringEquals": {"kms:ResourceAliases": naming.key_alias(bucket)},
            "StringEquals": {"kms:ViaService": f"s3.{aws.region}.amazonaws.com"},
        },
    )
