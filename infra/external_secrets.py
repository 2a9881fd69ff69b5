"""The External Secrets Operator's custom resources, as far as they are used: `external-secrets.io/v1`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from infra.custom_resources import TypedResource

API_VERSION: Final = "external-secrets.io/v1"


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreRef:
    """The store that values are read from."""

    kind: Literal["SecretStore", "ClusterSecretStore"]
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteRef:
    """One value of a store.

    Attributes:
        key: The entry's name.
        property: The key in the entry's JSON object.
    """

    key: str
    property: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Data:
    """A value, and the name that it gets."""

    secret_key: str
    remote_ref: RemoteRef


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateMetadata:
    """What the Secret carries besides."""

    labels: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """What the Secret looks like.

    Attributes:
        type: Of the Secret.
        metadata: Its labels.
        data: Its files as Go templates of the values; the values themselves when left out.
        engine_version: Of the template language.
    """

    type: str
    metadata: TemplateMetadata
    data: Mapping[str, str] | None = None
    engine_version: Literal["v2"] = "v2"


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """The Secret.

    Attributes:
        name: Its name.
        template: What it looks like.
        creation_policy: Owner: it goes with its ExternalSecret.
        deletion_policy: Retain: it stays when the store's entry is gone.
    """

    name: str
    template: Template
    creation_policy: Literal["Owner"] = "Owner"
    deletion_policy: Literal["Retain"] = "Retain"


@dataclass(frozen=True, kw_only=True, slots=True)
class ExternalSecretSpec:
    """A Secret and where its values are.

    Attributes:
        secret_store_ref: The store.
        refresh_interval: How often it is asked.
        target: The Secret.
        data: The values.
        refresh_policy: Periodic: every interval, and when the spec changes.
    """

    secret_store_ref: StoreRef
    refresh_interval: str
    target: Target
    data: tuple[Data, ...]
    refresh_policy: Literal["Periodic"] = "Periodic"


@dataclass(frozen=True, kw_only=True, slots=True)
class AwsProvider:
    """Secrets Manager of one region. Without `auth`, it is asked with the operator's own identity."""

    region: str
    service: Literal["SecretsManager"] = "SecretsManager"


@dataclass(frozen=True, kw_only=True, slots=True)
class Provider:
    """Which kind of store it is."""

    aws: AwsProvider


@dataclass(frozen=True, kw_only=True, slots=True)
class SecretStoreSpec:
    """A store that one namespace reads from."""

    provider: Provider


class SecretStore(TypedResource[SecretStoreSpec], api_version=API_VERSION):
    """Tells the operator where a store is, and how it is asked."""


class ExternalSecret(TypedResource[ExternalSecretSpec], api_version=API_VERSION):
    """Tells the operator which Secret to make of which values."""
