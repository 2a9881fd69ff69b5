"""The backup of CloudNativePG's clusters: its ScheduledBackup, and the Barman Cloud plugin's ObjectStore.

https://cloudnative-pg.io/plugin-barman-cloud/docs/plugin-barman-cloud.v1
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from infra.components.cnpg import API_VERSION, Reference, Resources
from infra.custom_resources import TypedResource, spelled

STORE_API_VERSION: Final = "barmancloud.cnpg.io/v1"
PLUGIN: Final = "barman-cloud.cloudnative-pg.io"


@dataclass(frozen=True, kw_only=True, slots=True)
class S3Credentials:
    """Of the pod's own role: no keys."""

    inherit_from_iam_role: bool = field(default=True, metadata=spelled("inheritFromIAMRole"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Compressed:
    """How files are sent."""

    compression: Literal["gzip", "snappy"]


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreConfiguration:
    """Where the log and the copies go."""

    destination_path: str
    s3_credentials: S3Credentials
    wal: Compressed
    data: Compressed


@dataclass(frozen=True, kw_only=True, slots=True)
class Sidecar:
    """The container beside each instance that sends them."""

    resources: Resources


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectStoreSpec:
    """An archive, and for how long what is in it is needed."""

    configuration: StoreConfiguration
    retention_policy: str
    instance_sidecar_configuration: Sidecar


@dataclass(frozen=True, kw_only=True, slots=True)
class PluginConfiguration:
    """Which plugin makes a backup."""

    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduledBackupSpec:
    """When whole copies are made.

    Attributes:
        schedule: Six fields, seconds first.
        immediate: Whether the first is made at once.
    """

    schedule: str
    cluster: Reference
    plugin_configuration: PluginConfiguration
    immediate: bool = True
    method: Literal["plugin"] = "plugin"
    target: Literal["prefer-standby"] = "prefer-standby"
    backup_owner_reference: Literal["self"] = "self"


class ObjectStore(TypedResource[ObjectStoreSpec], api_version=STORE_API_VERSION):
    """Where the Barman Cloud plugin keeps what it backs up."""


class ScheduledBackup(TypedResource[ScheduledBackupSpec], api_version=API_VERSION):
    """Whole copies, again and again."""
