# ruff: noqa: D103 - a rule's title, beside its function, says what it checks
"""Buckets, keys and image repositories in AWS. A bucket's properties are resources of their own there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from policies.aws import statements, texts
from policies.family import Family
from policies.matching import every
from policies.node import UNKNOWN, Node
from policies.objects import Stack
from policies.program import Resource
from policies.rule import Enforcement, Findings, Options, Severity, about, forbid, require, require_any

FAMILY: Final = Family("aws-storage", "Buckets, keys and image repositories in AWS", together="cloud")

_BUCKETS: Final = ("aws:s3/bucket:Bucket", "aws:s3/bucketV2:BucketV2")
_PUBLIC_ACCESS: Final = (
    "blockPublicAcls",
    "blockPublicPolicy",
    "ignorePublicAcls",
    "restrictPublicBuckets",
)
_TLS_CONDITION: Final = "aws:SecureTransport"
_REPOSITORY: Final = "aws:ecr/repository:Repository"


def _of_bucket(stack: Stack, kind: str, check: Callable[[Resource], Findings], missing: str) -> Findings:
    """Every bucket has a resource of this kind (`BucketVersioning`), and that is as `check` wants it."""
    types = [f"aws:s3/b{name[1:]}:{name}" for name in (kind, f"{kind}V2")]
    for bucket in stack.of_type(*_BUCKETS):
        parts = [(part, part.belongs_to(bucket, "bucket")) for part in stack.of_type(*types)]
        yield from require_any([answer for _, answer in parts], bucket.node.key("bucket"), missing, bucket)
        for part, answer in parts:
            if answer is not False:
                yield from about(part, check(part))


@FAMILY.program(
    "s3-public-access-blocked",
    "No bucket can be opened to the public",
    Severity.CRITICAL,
    *_BUCKETS,
    fix="Add a BucketPublicAccessBlock with all four flags true.",
    references=("CIS AWS 2.1.4", "Checkov CKV_AWS_53", "Checkov CKV_AWS_56"),
)
def s3_public_access_blocked(stack: Stack, _options: Options) -> Findings:
    def check(part: Resource) -> Findings:
        for flag in _PUBLIC_ACCESS:
            yield from require(part.node.key(flag), lambda value: value is True, "must be true")

    yield from _of_bucket(stack, "BucketPublicAccessBlock", check, "has no BucketPublicAccessBlock")


@FAMILY.program(
    "s3-encrypted",
    "Buckets are encrypted with a key of the account",
    Severity.HIGH,
    *_BUCKETS,
    fix="Add a BucketServerSideEncryptionConfiguration with sseAlgorithm aws:kms.",
    references=("CIS AWS 2.1.1", "Checkov CKV_AWS_145"),
)
def s3_encrypted(stack: Stack, _options: Options) -> Findings:
    def check(part: Resource) -> Findings:
        rules = part.node.key("rules")
        yield from require(rules, bool, "must name an algorithm")
        for rule in rules.items():
            yield from require(
                rule.at("applyServerSideEncryptionByDefault.sseAlgorithm"),
                lambda value: value in ("aws:kms", "aws:kms:dsse"),
                "must be aws:kms",
            )

    yield from _of_bucket(stack, "BucketServerSideEncryptionConfiguration", check, "has no encryption")


@FAMILY.program(
    "s3-versioned",
    "Buckets keep older versions of their objects",
    Severity.HIGH,
    *_BUCKETS,
    fix="Add a BucketVersioning with status Enabled.",
    references=("CIS AWS 2.1.3", "Checkov CKV_AWS_21"),
    dev=Enforcement.ADVISORY,
)
def s3_versioned(stack: Stack, _options: Options) -> Findings:
    def check(part: Resource) -> Findings:
        status = part.node.at("versioningConfiguration.status")
        yield from require(status, lambda value: value == "Enabled", "must be Enabled")

    yield from _of_bucket(stack, "BucketVersioning", check, "keeps no versions")


@FAMILY.program(
    "s3-tls-only",
    "Buckets refuse requests without TLS",
    Severity.HIGH,
    *_BUCKETS,
    fix="Add a BucketPolicy that denies s3:* to everybody where aws:SecureTransport is false.",
    references=("CIS AWS 2.1.1", "AWS Config s3-bucket-ssl-requests-only"),
)
def s3_tls_only(stack: Stack, _options: Options) -> Findings:
    def check(part: Resource) -> Findings:
        policy = part.node.key("policy")
        denied = [_denies_plain_text(statement) for statement in statements(policy)]
        yield from require_any(denied, policy, "allows requests without TLS")

    yield from _of_bucket(stack, "BucketPolicy", check, "has no BucketPolicy")


def _denies_plain_text(statement: Node) -> bool | None:
    """Whether a statement denies everybody everything where TLS is missing."""
    if statement.unknown:
        return None
    insecure = statement.at("Condition.Bool").key(_TLS_CONDITION)
    return every(
        [
            statement.at("Effect").value == "Deny",
            statement.at("Principal").value in ("*", {"AWS": "*"}),
            any(action.value in ("*", "s3:*") for action in texts(statement.at("Action"))),
            str(insecure.value).lower() == "false",
        ]
    )


@FAMILY.program(
    "s3-lifecycle",
    "What buckets hold doesn't grow for ever",
    Severity.MEDIUM,
    *_BUCKETS,
    fix="Add a BucketLifecycleConfiguration with an enabled rule that expires objects or older versions.",
    references=("Checkov CKV2_AWS_61", "Checkov CKV_AWS_300"),
    dev=Enforcement.ADVISORY,
)
def s3_lifecycle(stack: Stack, _options: Options) -> Findings:
    def check(part: Resource) -> Findings:
        rules = part.node.key("rules")
        yield from require_any(
            map(_expires, rules.items()), rules, "has no enabled rule that expires anything"
        )

    yield from _of_bucket(stack, "BucketLifecycleConfiguration", check, "has no lifecycle")


def _expires(rule: Node) -> bool | None:
    status, ends = rule.key("status"), [rule.key("expiration"), rule.key("noncurrentVersionExpiration")]
    if status.unknown or any(end.unknown for end in ends):
        return None
    return status.value == "Enabled" and any(end.value for end in ends)


@FAMILY.program(
    "s3-object-lock",
    "Backups can't be deleted before their time",
    Severity.HIGH,
    *_BUCKETS,
    fix="Set objectLockEnabled, and add a BucketObjectLockConfiguration with a default retention.",
    references=("AWS Config s3-bucket-default-lock-enabled",),
    dev=Enforcement.ADVISORY,
)
def s3_object_lock(stack: Stack, _options: Options) -> Findings:
    def check(part: Resource) -> Findings:
        retention = part.node.at("rule.defaultRetention")
        yield from require(
            retention.key("mode"),
            lambda value: value in ("COMPLIANCE", "GOVERNANCE"),
            "must be COMPLIANCE or GOVERNANCE",
        )
        days, years = retention.key("days"), retention.key("years")
        yield from require(days if years.absent else years, bool, "must be set")

    for bucket in stack.of_type(*_BUCKETS):
        enabled = bucket.node.key("objectLockEnabled")
        yield from about(bucket, require(enabled, lambda value: value is True, "must be true"))
    yield from _of_bucket(stack, "BucketObjectLockConfiguration", check, "has no default retention")


@FAMILY.program(
    "s3-owner-enforced",
    "Access to buckets is a matter of policies, not of lists on objects",
    Severity.MEDIUM,
    *_BUCKETS,
    fix="Add BucketOwnershipControls with objectOwnership BucketOwnerEnforced.",
    references=("Checkov CKV2_AWS_65",),
)
def s3_owner_enforced(stack: Stack, _options: Options) -> Findings:
    def check(part: Resource) -> Findings:
        ownership = part.node.at("rule.objectOwnership")
        yield from require(
            ownership, lambda value: value == "BucketOwnerEnforced", "must be BucketOwnerEnforced"
        )

    yield from _of_bucket(stack, "BucketOwnershipControls", check, "has no BucketOwnershipControls")


@FAMILY.resource(
    "s3-kept",
    "Deleting a bucket doesn't delete what is in it",
    Severity.HIGH,
    *_BUCKETS,
    fix="Remove forceDestroy.",
    dev=Enforcement.ADVISORY,
)
def s3_kept(bucket: Resource, _options: Options) -> Findings:
    yield from forbid(bucket.node.key("forceDestroy"), bool, "must not be true")


@FAMILY.resource(
    "kms-rotated",
    "Keys are renewed every year",
    Severity.MEDIUM,
    "aws:kms/key:Key",
    fix="Set enableKeyRotation: true.",
    references=("CIS AWS 3.6", "Checkov CKV_AWS_7"),
)
def kms_rotated(key: Resource, _options: Options) -> Findings:
    symmetric = key.node.key("customerMasterKeySpec").value in (None, UNKNOWN, "SYMMETRIC_DEFAULT")
    if symmetric:  # AWS renews no others
        yield from require(key.node.key("enableKeyRotation"), lambda value: value is True, "must be true")


@FAMILY.resource(
    "ecr-immutable",
    "A tag of an image never moves",
    Severity.HIGH,
    _REPOSITORY,
    fix="Set imageTagMutability: IMMUTABLE.",
    references=("Checkov CKV_AWS_51",),
)
def ecr_immutable(repository: Resource, _options: Options) -> Findings:
    mutability = repository.node.key("imageTagMutability")
    yield from require(mutability, lambda value: value == "IMMUTABLE", "must be IMMUTABLE")


@FAMILY.resource(
    "ecr-scanned",
    "Images are scanned when they are pushed",
    Severity.MEDIUM,
    _REPOSITORY,
    fix="Set imageScanningConfiguration.scanOnPush: true.",
    references=("Checkov CKV_AWS_163",),
)
def ecr_scanned(repository: Resource, _options: Options) -> Findings:
    scan = repository.node.at("imageScanningConfiguration.scanOnPush")
    yield from require(scan, lambda value: value is True, "must be true")
