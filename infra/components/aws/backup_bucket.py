"""The bucket that backups go to: versioned, locked, encrypted with a key of its own, closed to the world."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_aws import kms, s3

from infra.components.aws import naming
from infra.components.aws.documents import document, modern_tls_only, own_account_only, tls_only
from infra.naming import Stack
from infra.settings.aws import Aws

KEY_DELETION_DAYS = 30
ABANDONED_UPLOAD_DAYS = 7


@dataclass(frozen=True, kw_only=True, slots=True)
class BackupBucketArgs:
    """The bucket of one stack.

    Attributes:
        stack: The stack.
        aws: The account, and how long what is kept.
    """

    stack: Stack
    aws: Aws


def build_lifecycle(aws: Aws) -> list[s3.BucketLifecycleConfigurationRuleArgs]:
    """Older versions go after their time, and so do uploads that were never finished."""
    backups = aws.backups
    archive = (
        [
            s3.BucketLifecycleConfigurationRuleTransitionArgs(
                days=backups.archive_days, storage_class="GLACIER_IR"
            )
        ]
        if backups.archive_days
        else None
    )
    return [
        s3.BucketLifecycleConfigurationRuleArgs(
            id="retention",
            status="Enabled",
            filter=s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
            expiration=s3.BucketLifecycleConfigurationRuleExpirationArgs(days=backups.retention_days),
            noncurrent_version_expiration=s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
                noncurrent_days=backups.retention_days
            ),
            abort_incomplete_multipart_upload=s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
                days_after_initiation=ABANDONED_UPLOAD_DAYS
            ),
            transitions=archive,
        )
    ]


def build_policy(bucket: str, account: str) -> str:
    """Only this account, and only by modern TLS."""
    arn = naming.bucket_arn(bucket)
    return document(tls_only(arn), modern_tls_only(arn), own_account_only(arn, account))


class BackupBucket(pulumi.ComponentResource):
    """A bucket whose contents survive mistakes, leaked keys and this very program.

    It outlives the stack as it is: what closes and keeps it stays with it, since to delete one of these
    resources means to open the bucket, to forget its key or to stop keeping versions.

    Attributes:
        bucket: Its name.
    """

    bucket: str

    def __init__(self, name: str, args: BackupBucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mcp:aws:BackupBucket", name, None, opts)
        kept = pulumi.ResourceOptions(parent=self, protect=True, retain_on_delete=True)
        stays = pulumi.ResourceOptions(parent=self, retain_on_delete=True)
        self.bucket = naming.bucket(args.stack, args.aws)
        key = kms.Key(
            name,
            description=f"Backups of stack {args.stack.name}",
            enable_key_rotation=True,
            deletion_window_in_days=KEY_DELETION_DAYS,
            opts=kept,
        )
        kms.Alias(name, name=naming.key_alias(self.bucket), target_key_id=key.key_id, opts=stays)
        bucket = s3.Bucket(name, bucket=self.bucket, object_lock_enabled=True, force_destroy=False, opts=kept)
        self._close(name, bucket.bucket, key.arn, args)
        self._keep(name, bucket.bucket, args)
        self.register_outputs({"bucket": self.bucket})

    def _close(
        self, name: str, bucket: pulumi.Input[str], key: pulumi.Input[str], args: BackupBucketArgs
    ) -> None:
        """Who reaches it, and how."""
        stays = pulumi.ResourceOptions(parent=self, retain_on_delete=True)
        s3.BucketPublicAccessBlock(
            name,
            bucket=bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=stays,
        )
        s3.BucketOwnershipControls(
            name,
            bucket=bucket,
            rule=s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
            opts=stays,
        )
        s3.BucketPolicy(name, bucket=bucket, policy=build_policy(self.bucket, args.aws.account), opts=stays)
        default = s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
            sse_algorithm="aws:kms", kms_master_key_id=key
        )
        s3.BucketServerSideEncryptionConfiguration(
            name,
            bucket=bucket,
            rules=[
                s3.BucketServerSideEncryptionConfigurationRuleArgs(
                    apply_server_side_encryption_by_default=default, bucket_key_enabled=True
                )
            ],
            opts=stays,
        )
        if args.aws.backups.log_bucket:
            s3.BucketLogging(
                name,
                bucket=bucket,
                target_bucket=args.aws.backups.log_bucket,
                target_prefix=f"{self.bucket}/",
                opts=pulumi.ResourceOptions(parent=self),
            )

    def _keep(self, name: str, bucket: pulumi.Input[str], args: BackupBucketArgs) -> None:
        """What stays, and for how long."""
        stays = pulumi.ResourceOptions(parent=self, retain_on_delete=True)
        versioning = s3.BucketVersioning(
            name,
            bucket=bucket,
            versioning_configuration=s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=stays,
        )
        # S3 takes neither before versions are kept.
        versioned = pulumi.ResourceOptions(parent=self, retain_on_delete=True, depends_on=[versioning])
        retention = s3.BucketObjectLockConfigurationRuleDefaultRetentionArgs(
            mode="COMPLIANCE", days=args.aws.backups.lock_days
        )
        s3.BucketObjectLockConfiguration(
            name,
            bucket=bucket,
            rule=s3.BucketObjectLockConfigurationRuleArgs(default_retention=retention),
            opts=versioned,
        )
        s3.BucketLifecycleConfiguration(name, bucket=bucket, rules=build_lifecycle(args.aws), opts=versioned)
