"""Postgres that survives the end of a node: a primary and standbys, run by CloudNativePG. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from infra.components import barman, cnpg
from infra.components.priority import priority_class
from infra.custom_resources import LabelSelector, TopologySpread
from infra.labels import Component, labels
from infra.naming import POSTGRES, Stack
from infra.quantities import mebibytes, size_bytes
from infra.settings import workloads as settings
from infra.settings.groups import PostgresStore
from infra.settings.replication import Archive, PostgresReplication

HOST: Final = f"{POSTGRES}-rw"
"""The Service of whichever instance is the primary."""
CA_SECRET: Final = f"{POSTGRES}-ca"
"""The operator's, with the authority of the instances' certificates."""
CA_KEY: Final = "ca.crt"
ARCHIVE: Final = f"{POSTGRES}-archive"
STATUS_PORT: Final = 8000
"""Where instances and the operator ask each other how they are."""
METRICS_PORT: Final = 9187
METRICS_PORT_NAME: Final = "metrics"
OPERATOR: Final = {"app.kubernetes.io/name": "cloudnative-pg"}
"""Labels of its pods."""
PODS: Final = {cnpg.CLUSTER_LABEL: POSTGRES}
"""Labels of the instances, and of the jobs that make them."""

_MEMORY_SHARE: Final = 0.25
"""Of the memory limit, for Postgres' own cache of pages."""
_CONNECTIONS: Final = 200
_MOST_LAG: Final = "64Mi"
_SHUTDOWN_SECONDS: Final = 60
_FINISH_SECONDS: Final = 15
_ISOLATION_MILLISECONDS: Final = 2000
_SIDECAR: Final = cnpg.Resources(
    requests={"cpu": "50m", "memory": "512Mi", "ephemeral-storage": "64Mi"},
    limits={"cpu": "500m", "memory": "512Mi", "ephemeral-storage": "1Gi"},
)
"""A copy of even a small database takes 256 MiB at times, and keeps parts on disk before it sends them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterArgs:
    """The cluster of one stack.

    Attributes:
        stack: The stack.
        settings: Of the store.
        replication: Of the instances.
        component: What part they play.
        user: Who owns the database.
        database: Its name.
        secret: Its owner's name and password.
        role_arn: The AWS role that its pods take by their service account's annotation; "" otherwise.
    """

    stack: Stack
    settings: PostgresStore
    replication: PostgresReplication
    component: Component
    user: str
    database: str
    secret: str
    role_arn: str = ""


def build_cluster(args: ClusterArgs) -> cnpg.ClusterSpec:
    """What the operator is asked for."""
    volume, replication = args.settings.volume, args.replication
    own = labels(args.stack, POSTGRES, args.component)
    annotations = {"eks.amazonaws.com/role-arn": args.role_arn}
    return cnpg.ClusterSpec(
        description=f"Postgres of stack {args.stack.name}",
        instances=replication.instances,
        image_name=replication.image,
        bootstrap=cnpg.Bootstrap(initdb=_beginning(args)),
        managed=cnpg.Managed(roles=(_owner(args),)),
        postgresql=_configuration(args),
        storage=cnpg.Storage(size=volume.size, storage_class=volume.storage_class),
        resources=_resources(args.settings.resources),
        affinity=cnpg.Affinity(pod_anti_affinity_type="required" if args.stack.production else "preferred"),
        topology_spread_constraints=(
            TopologySpread(
                topology_key="topology.kubernetes.io/zone",
                label_selector=LabelSelector(match_labels=PODS),
            ),
        ),
        probes=_probes(),
        # The operator has its own name and instance for these labels.
        inherited_metadata=cnpg.Metadata(
            labels={key: value for key, value in own.items() if not key.endswith(("/name", "/instance"))}
        ),
        service_account_template=(
            cnpg.Templated(metadata=cnpg.Metadata(annotations=annotations)) if args.role_arn else None
        ),
        plugins=(_archiver(),) if replication.archive else (),
        priority_class_name=priority_class(args.stack, args.component),
        switchover_delay=_SHUTDOWN_SECONDS,
        smart_shutdown_timeout=_FINISH_SECONDS,
    )


def build_archive(archive: Archive, bucket: str) -> barman.ObjectStoreSpec:
    """A folder of the stack's bucket; the bucket's own key encrypts what is in it."""
    return barman.ObjectStoreSpec(
        configuration=barman.StoreConfiguration(
            destination_path=f"s3://{bucket}/{POSTGRES}",
            s3_credentials=barman.S3Credentials(),
            wal=barman.Compressed(compression="gzip"),
            data=barman.Compressed(compression="gzip"),
        ),
        retention_policy=f"{archive.retention_days}d",
        instance_sidecar_configuration=barman.Sidecar(resources=_SIDECAR),
    )


def build_backup(archive: Archive) -> barman.ScheduledBackupSpec:
    """Whole copies, made of a standby where there is one."""
    return barman.ScheduledBackupSpec(
        schedule=archive.schedule,
        cluster=cnpg.Reference(name=POSTGRES),
        plugin_configuration=barman.PluginConfiguration(name=barman.PLUGIN),
    )


def _beginning(args: ClusterArgs) -> cnpg.InitDb:
    """As in the image for a single server: an order of texts that no update of the C library changes."""
    return cnpg.InitDb(
        database=args.database,
        owner=args.user,
        secret=cnpg.Reference(name=args.secret),
        data_checksums=True,
        encoding="UTF8",
        locale_provider="builtin",
        locale="C.UTF-8",
        builtin_locale="C.UTF-8",
    )


def _owner(args: ClusterArgs) -> cnpg.Role:
    """It owns the database, and makes the roles of services; it is no superuser."""
    return cnpg.Role(
        name=args.user,
        login=True,
        createrole=True,
        password_secret=cnpg.Reference(name=args.secret),
        comment="Brings schemas up to date",
    )


def _configuration(args: ClusterArgs) -> cnpg.Configuration:
    replication = args.replication
    cache = int(size_bytes(args.settings.resources.limits.memory) * _MEMORY_SHARE)
    return cnpg.Configuration(
        parameters={
            "max_connections": str(_CONNECTIONS),
            "shared_buffers": mebibytes(cache).removesuffix("Mi") + "MB",
        },
        synchronous=cnpg.Synchronous(
            number=replication.confirming,
            data_durability=replication.durability,
            failover_quorum=replication.durability == "required",
        ),
    )


def _resources(resources: settings.Resources) -> cnpg.Resources:
    requests, limits = resources.requests, resources.limits
    return cnpg.Resources(
        requests={
            "cpu": requests.cpu,
            "memory": requests.memory,
            "ephemeral-storage": requests.ephemeral_storage,
        },
        limits={"cpu": limits.cpu, "memory": limits.memory, "ephemeral-storage": limits.ephemeral_storage},
    )


def _probes() -> cnpg.ClusterProbes:
    """A primary that is cut off from everybody stops after half a minute, before another takes over."""
    isolation = cnpg.IsolationCheck(
        request_timeout=_ISOLATION_MILLISECONDS, connection_timeout=_ISOLATION_MILLISECONDS
    )
    return cnpg.ClusterProbes(
        liveness=cnpg.LivenessProbe(
            isolation_check=isolation, period_seconds=10, timeout_seconds=5, failure_threshold=3
        ),
        readiness=cnpg.ReadinessProbe(maximum_lag=_MOST_LAG),
    )


def _archiver() -> cnpg.Plugin:
    return cnpg.Plugin(name=barman.PLUGIN, is_wal_archiver=True, parameters={"barmanObjectName": ARCHIVE})
