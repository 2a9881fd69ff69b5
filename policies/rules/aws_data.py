# ruff: noqa: D103 - a rule's title, beside its function, says what it checks
"""Managed databases and caches in AWS."""

from __future__ import annotations

from typing import Final

from policies.family import Family
from policies.node import UNKNOWN, Node
from policies.program import Resource
from policies.rule import Enforcement, Findings, Options, Severity, fail, forbid, require

FAMILY: Final = Family("aws-data", "Managed databases and caches in AWS", together="cloud")

_INSTANCE: Final = "aws:rds/instance:Instance"
_CLUSTER: Final = "aws:rds/cluster:Cluster"
_CACHE: Final = "aws:elasticache/replicationGroup:ReplicationGroup"


def _true(node: Node) -> Findings:
    yield from require(node, lambda value: value is True, "must be true")


@FAMILY.resource(
    "rds-encrypted",
    "Databases are encrypted on disk",
    Severity.HIGH,
    _INSTANCE,
    _CLUSTER,
    fix="Set storageEncrypted: true; it can't be changed later.",
    references=("CIS AWS 2.3.1", "Checkov CKV_AWS_16"),
)
def rds_encrypted(database: Resource, _options: Options) -> Findings:
    yield from _true(database.node.key("storageEncrypted"))


@FAMILY.resource(
    "rds-multi-az",
    "Databases survive the end of a zone",
    Severity.HIGH,
    _INSTANCE,
    fix="Set multiAz: true.",
    references=("Checkov CKV_AWS_157",),
    dev=Enforcement.ADVISORY,
)
def rds_multi_az(database: Resource, _options: Options) -> Findings:
    if database.node.key("replicateSourceDb").value in (None, UNKNOWN):  # a replica is the spare itself
        yield from _true(database.node.key("multiAz"))


@FAMILY.resource(
    "rds-backups",
    "Databases can be restored to any second of the last days",
    Severity.HIGH,
    _INSTANCE,
    _CLUSTER,
    fix="Set backupRetentionPeriod, and leave a final snapshot when the database is deleted.",
    references=("Checkov CKV_AWS_133",),
    dev=Enforcement.ADVISORY,
    settings=("backup_days",),
)
def rds_backups(database: Resource, options: Options) -> Findings:
    node = database.node
    yield from require(
        node.key("backupRetentionPeriod"),
        lambda value: isinstance(value, int) and value >= options.backup_days,
        f"must be {options.backup_days} days or more",
    )
    yield from forbid(node.key("skipFinalSnapshot"), bool, "must not be true")


@FAMILY.resource(
    "rds-private",
    "Databases have no public address",
    Severity.CRITICAL,
    _INSTANCE,
    fix="Set publiclyAccessible: false.",
    references=("CIS AWS 2.3.3", "Checkov CKV_AWS_17"),
)
def rds_private(database: Resource, _options: Options) -> Findings:
    yield from require(database.node.key("publiclyAccessible"), lambda value: value is False, "must be false")


@FAMILY.resource(
    "rds-deletion-protection",
    "Databases refuse to be deleted",
    Severity.HIGH,
    _INSTANCE,
    _CLUSTER,
    fix="Set deletionProtection: true; take it off in a change of its own.",
    references=("Checkov CKV_AWS_293",),
    dev=Enforcement.DISABLED,
)
def rds_deletion_protection(database: Resource, _options: Options) -> Findings:
    yield from _true(database.node.key("deletionProtection"))


@FAMILY.resource(
    "rds-password-managed",
    "No program holds a database's master password",
    Severity.CRITICAL,
    _INSTANCE,
    _CLUSTER,
    fix="Set manageMasterUserPassword: true; Secrets Manager then holds and renews it.",
    references=("AWS Config rds-instance-master-user-password-managed",),
)
def rds_password_managed(database: Resource, _options: Options) -> Findings:
    node = database.node
    if not node.key("password").absent or not node.key("masterPassword").absent:
        given = node.key("masterPassword") if node.key("password").absent else node.key("password")
        if not given.secret:
            yield fail(Node("", given.path), "is not marked secret")
    elif node.key("replicateSourceDb").absent:
        yield from _true(node.key("manageMasterUserPassword"))


@FAMILY.resource(
    "rds-tls",
    "Databases refuse connections without TLS",
    Severity.HIGH,
    "aws:rds/parameterGroup:ParameterGroup",
    fix="Set the parameter rds.force_ssl to 1.",
    references=("AWS: requiring SSL for a PostgreSQL DB instance",),
)
def rds_tls(group: Resource, _options: Options) -> Findings:
    family = group.node.key("family")
    if family.unknown or str(family.value).startswith("postgres"):
        yield from _parameter(group, "rds.force_ssl", "1")


@FAMILY.resource(
    "elasticache-encrypted",
    "Caches are encrypted on disk and on the way",
    Severity.HIGH,
    _CACHE,
    fix="Set atRestEncryptionEnabled and transitEncryptionEnabled: true, transitEncryptionMode: required.",
    references=("Checkov CKV_AWS_29", "Checkov CKV_AWS_30"),
)
def elasticache_encrypted(cache: Resource, _options: Options) -> Findings:
    for name in ("atRestEncryptionEnabled", "transitEncryptionEnabled"):
        yield from _true(cache.node.key(name))
    yield from forbid(
        cache.node.key("transitEncryptionMode"), lambda value: value != "required", "must be required"
    )


@FAMILY.resource(
    "elasticache-multi-az",
    "Caches survive the end of a zone",
    Severity.HIGH,
    _CACHE,
    fix="Set automaticFailoverEnabled and multiAzEnabled: true, with a replica or more.",
    references=("AWS Config elasticache-repl-grp-auto-failover-enabled",),
    dev=Enforcement.ADVISORY,
)
def elasticache_multi_az(cache: Resource, _options: Options) -> Findings:
    for name in ("automaticFailoverEnabled", "multiAzEnabled"):
        yield from _true(cache.node.key(name))


@FAMILY.resource(
    "elasticache-backups",
    "Caches are snapshot every day",
    Severity.MEDIUM,
    _CACHE,
    fix="Set snapshotRetentionLimit to a number of days.",
    references=("Checkov CKV_AWS_134",),
    dev=Enforcement.ADVISORY,
)
def elasticache_backups(cache: Resource, _options: Options) -> Findings:
    yield from require(
        cache.node.key("snapshotRetentionLimit"),
        lambda value: isinstance(value, int) and value > 0,
        "must be set",
    )


@FAMILY.resource(
    "elasticache-memory-policy",
    "A full cache refuses writes instead of dropping what replicas share",
    Severity.MEDIUM,
    "aws:elasticache/parameterGroup:ParameterGroup",
    fix="Set the parameter maxmemory-policy to noeviction.",
)
def elasticache_memory_policy(group: Resource, _options: Options) -> Findings:
    yield from _parameter(group, "maxmemory-policy", "noeviction")


def _parameter(group: Resource, name: str, wanted: str) -> Findings:
    """A parameter group sets one parameter to one value."""
    parameters = group.node.key("parameters")
    for item in parameters.items():
        if item.key("name").value == name:
            yield from require(item.key("value"), lambda value: str(value) == wanted, f"must be {wanted}")
            return
    unsure = [item for item in parameters.items() if item.key("name").unknown]
    yield fail(unsure[0].key("name") if unsure else parameters, f"must set {name} to {wanted}")
