# ruff: noqa: D103 - a rule's title, beside its function, says what it checks
"""Databases and caches inside the cluster: volumes that stay, passwords, copies, backups."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from policies.family import Family
from policies.matching import every, matches_selector
from policies.node import ANY_ITEM, UNKNOWN, Node
from policies.objects import KubernetesObject, Stack, same_name
from policies.operators import CNPG, managed_labels
from policies.quantity import is_positive, parse_quantity
from policies.rule import Enforcement, Findings, Options, Severity, fail, forbid, require, require_any

FAMILY: Final = Family("data", "Databases and caches", together="platform")

_STATEFUL: Final = "StatefulSet.apps"
_CLAIM: Final = "PersistentVolumeClaim"
_SCHEDULED: Final = "ScheduledBackup.postgresql.cnpg.io"
_STORE: Final = "ObjectStore.barmancloud.cnpg.io"
_POD_MONITOR: Final = "PodMonitor.monitoring.coreos.com"
_PLUGIN: Final = "barman-cloud.cloudnative-pg.io"
_CACHE_FILE: Final = re.compile(r"(redis|valkey)\.conf\Z")
_RETENTION: Final = re.compile(r"[1-9]\d*[dwm]\Z")
_QUORUM: Final = 3


@FAMILY.object(
    "volumes-kept",
    "Volumes of databases stay when the database goes or shrinks",
    Severity.HIGH,
    _STATEFUL,
    fix="Set persistentVolumeClaimRetentionPolicy to Retain, or leave it out.",
    dev=Enforcement.ADVISORY,
)
def volumes_kept(subject: KubernetesObject, _options: Options) -> Findings:
    policy = subject.node.at("spec.persistentVolumeClaimRetentionPolicy")
    for name in ("whenDeleted", "whenScaled"):
        yield from forbid(policy.key(name), lambda value: value != "Retain", "must be Retain")


@FAMILY.object(
    "volume-size",
    "Claims say how much they need and how they are mounted",
    Severity.MEDIUM,
    _STATEFUL,
    _CLAIM,
    fix="Set resources.requests.storage and accessModes.",
)
def volume_size(subject: KubernetesObject, _options: Options) -> Findings:
    claims = (
        [subject.node] if subject.kind == _CLAIM else subject.node.at("spec.volumeClaimTemplates").items()
    )
    for claim in claims:
        yield from require(claim.at("spec.resources.requests.storage"), is_positive, "must be an amount")
        yield from require(claim.at("spec.accessModes"), bool, "must be set")


def _cache_files(subject: KubernetesObject) -> Iterator[tuple[Node, dict[str, str]]]:
    """The configuration files of Redis or Valkey in a ConfigMap, with the last value of each directive."""
    for name, file in subject.node.key("data").entries():
        if name != ANY_ITEM and not _CACHE_FILE.search(name):
            continue
        if file.unknown:
            yield file, {}
        else:
            lines = [line.split(None, 1) for line in (file.text() or "").splitlines()]
            yield file, {words[0].lower(): words[-1].strip() for words in lines if words}


@FAMILY.object(
    "cache-password",
    "Redis asks for a password",
    Severity.CRITICAL,
    "ConfigMap",
    fix="Set aclfile to a mounted Secret's file; a requirepass in a ConfigMap is no secret.",
    references=("CIS Redis 1.2",),
)
def cache_password(subject: KubernetesObject, _options: Options) -> Findings:
    for file, directives in _cache_files(subject):
        if file.unknown or not directives.get("aclfile"):
            yield fail(file, "lets everybody in, or says the password: aclfile is not set")


@FAMILY.object(
    "cache-memory",
    "A full Redis refuses writes instead of dropping what replicas share",
    Severity.MEDIUM,
    "ConfigMap",
    fix="Set maxmemory below the container's limit, and maxmemory-policy noeviction.",
)
def cache_memory(subject: KubernetesObject, _options: Options) -> Findings:
    for file, directives in _cache_files(subject):
        if file.unknown or directives.get("maxmemory", "0") == "0":
            yield fail(file, "must set maxmemory")
        if not file.unknown and directives.get("maxmemory-policy", "noeviction") != "noeviction":
            yield fail(file, "must set maxmemory-policy to noeviction")


@FAMILY.object(
    "postgres-instances",
    "Postgres clusters survive the end of a node",
    Severity.HIGH,
    CNPG,
    fix=f"Set spec.instances to {_QUORUM} or more.",
    dev=Enforcement.DISABLED,
)
def postgres_instances(subject: KubernetesObject, _options: Options) -> Findings:
    yield from require(
        subject.node.at("spec.instances"),
        lambda value: isinstance(value, int) and value >= _QUORUM,
        f"must be {_QUORUM} or more",
    )


@FAMILY.object(
    "postgres-synchronous",
    "What Postgres has confirmed is on a second instance",
    Severity.HIGH,
    CNPG,
    fix="Set spec.postgresql.synchronous: {method: any, number: 1}.",
    dev=Enforcement.DISABLED,
)
def postgres_synchronous(subject: KubernetesObject, _options: Options) -> Findings:
    number = subject.node.at("spec.postgresql.synchronous.number")
    yield from require(number, lambda value: isinstance(value, int) and value > 0, "must be 1 or more")


@FAMILY.stack(
    "postgres-backup",
    "Every Postgres cluster is archived and backed up on a schedule",
    Severity.CRITICAL,
    CNPG,
    _SCHEDULED,
    fix=f"Add the plugin {_PLUGIN} as WAL archiver, and a ScheduledBackup with method plugin.",
    references=("CloudNativePG: backup by plugins",),
    dev=Enforcement.ADVISORY,
)
def postgres_backup(stack: Stack, _options: Options) -> Findings:
    for cluster in stack.of_kind(CNPG):
        plugins = cluster.node.at("spec.plugins")
        archived = [
            None
            if item.unknown
            else item.key("name").value == _PLUGIN and item.key("isWALArchiver").value is True
            for item in plugins.items()
        ]
        yield from require_any(archived, plugins, "no plugin archives the log", cluster)
        backups = [_backs_up(backup, cluster) for backup in stack.of_kind(_SCHEDULED)]
        yield from require_any(
            backups, cluster.node.at("metadata.name"), "no ScheduledBackup names it", cluster
        )


def _backs_up(backup: KubernetesObject, cluster: KubernetesObject) -> bool | None:
    name, method = backup.node.at("spec.cluster.name"), backup.node.at("spec.method")
    return every(
        [
            same_name(backup.namespace, cluster.namespace),
            same_name(UNKNOWN if name.unknown else str(name.value), cluster.name),
            None if method.unknown else method.value == "plugin",
        ]
    )


@FAMILY.object(
    "postgres-no-in-tree-backup",
    "Backups don't go by an interface that is about to be removed",
    Severity.MEDIUM,
    CNPG,
    fix="Use the Barman Cloud plugin's ObjectStore instead of spec.backup.barmanObjectStore.",
    references=("CloudNativePG 1.26: in-tree Barman is deprecated",),
)
def postgres_no_in_tree_backup(subject: KubernetesObject, _options: Options) -> Findings:
    yield from forbid(subject.node.at("spec.backup.barmanObjectStore"), bool, "is about to be removed")


@FAMILY.object(
    "backup-retention",
    "Backups of Postgres are kept for a time that is said",
    Severity.MEDIUM,
    _STORE,
    fix='Set spec.retentionPolicy, such as "35d".',
)
def backup_retention(subject: KubernetesObject, _options: Options) -> Findings:
    policy = subject.node.at("spec.retentionPolicy")
    yield from require(policy, lambda value: bool(_RETENTION.match(str(value))), "must be a time such as 35d")


@FAMILY.object(
    "postgres-no-superuser",
    "Nobody logs in to Postgres as superuser",
    Severity.HIGH,
    CNPG,
    fix="Remove enableSuperuserAccess.",
)
def postgres_no_superuser(subject: KubernetesObject, _options: Options) -> Findings:
    yield from forbid(subject.node.at("spec.enableSuperuserAccess"), bool, "must not be true")


@FAMILY.object(
    "postgres-storage",
    "Postgres clusters have a volume of a size, and the memory they may use",
    Severity.MEDIUM,
    CNPG,
    fix="Set spec.storage.size, and resources.requests.memory equal to limits.memory.",
)
def postgres_storage(subject: KubernetesObject, _options: Options) -> Findings:
    spec = subject.node.at("spec")
    yield from require(spec.at("storage.size"), is_positive, "must be an amount")
    request, limit = spec.at("resources.requests.memory"), spec.at("resources.limits.memory")
    if request.unknown or limit.unknown:
        yield fail(request if request.unknown else limit, "must equal the limit")
    elif limit.absent or parse_quantity(str(request.value)) != parse_quantity(str(limit.value)):
        yield fail(request, "must be set and equal the limit")


@FAMILY.object(
    "postgres-spread",
    "Postgres' instances are on different nodes",
    Severity.HIGH,
    CNPG,
    fix="Set affinity.podAntiAffinityType: required, and leave enablePodAntiAffinity on.",
    dev=Enforcement.DISABLED,
)
def postgres_spread(subject: KubernetesObject, _options: Options) -> Findings:
    affinity = subject.node.at("spec.affinity")
    yield from forbid(affinity.key("enablePodAntiAffinity"), lambda value: value is False, "must not be off")
    yield from require(
        affinity.key("podAntiAffinityType"), lambda value: value == "required", "must be required"
    )


@FAMILY.stack(
    "postgres-monitored",
    "Somebody hears when Postgres' copies fall behind",
    Severity.MEDIUM,
    CNPG,
    _POD_MONITOR,
    fix="Add a PodMonitor that selects the label cnpg.io/cluster.",
    dev=Enforcement.ADVISORY,
)
def postgres_monitored(stack: Stack, _options: Options) -> Findings:
    for cluster in stack.of_kind(CNPG):
        enabled = cluster.node.at("spec.monitoring.enablePodMonitor")
        labels = managed_labels(cluster)
        answers = [
            every(
                [
                    same_name(monitor.namespace, cluster.namespace),
                    matches_selector(monitor.node.at("spec.selector"), labels),
                ]
            )
            for monitor in stack.of_kind(_POD_MONITOR)
        ]
        answers.append(None if enabled.unknown else enabled.value is True)
        yield from require_any(answers, cluster.node.at("metadata.name"), "no PodMonitor takes it", cluster)
