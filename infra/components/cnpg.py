"""A cluster of Postgres as CloudNativePG's custom resource, as far as they are used: `postgresql.cnpg.io/v1`.

https://cloudnative-pg.io/docs/1.30/cloudnative-pg.v1
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from infra.custom_resources import TopologySpread, TypedResource, spelled

API_VERSION: Final = "postgresql.cnpg.io/v1"
CLUSTER_LABEL: Final = "cnpg.io/cluster"
"""Of the pods that the operator makes, jobs included."""
RELOAD: Final = {"cnpg.io/reload": "true"}
"""Labels of a Secret whose changes the operator is to hear of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """An object of the same namespace."""

    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Metadata:
    """Of objects that the operator makes."""

    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, str] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Templated:
    """An object whose metadata is ours."""

    metadata: Metadata


@dataclass(frozen=True, kw_only=True, slots=True)
class Storage:
    """A volume of each instance; it may grow later."""

    size: str
    storage_class: str | None
    resize_in_use_volumes: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Resources:
    """Of each container."""

    requests: Mapping[str, str]
    limits: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Synchronous:
    """What must have happened before a change is confirmed.

    Attributes:
        number: On how many standbys it must be.
        data_durability: Whether changes wait while there are fewer.
        failover_quorum: Whether only a standby is promoted that surely has all that was confirmed.
        method: Any standbys count.
    """

    number: int
    data_durability: Literal["required", "preferred"]
    failover_quorum: bool
    method: Literal["any"] = "any"


@dataclass(frozen=True, kw_only=True, slots=True)
class Configuration:
    """`postgresql.conf`, and what is confirmed when."""

    parameters: Mapping[str, str]
    synchronous: Synchronous


@dataclass(frozen=True, kw_only=True, slots=True)
class InitDb:
    """What is made in the beginning.

    Attributes:
        secret: Of type kubernetes.io/basic-auth: the owner's name and password.
    """

    database: str
    owner: str
    secret: Reference
    data_checksums: bool
    encoding: str
    locale_provider: str
    locale: str
    builtin_locale: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Bootstrap:
    """How a cluster begins."""

    initdb: InitDb


@dataclass(frozen=True, kw_only=True, slots=True)
class Role:
    """A role that the operator keeps as it is declared."""

    name: str
    login: bool
    createrole: bool
    password_secret: Reference
    comment: str
    ensure: Literal["present"] = "present"


@dataclass(frozen=True, kw_only=True, slots=True)
class Managed:
    """What the operator keeps inside of Postgres."""

    roles: tuple[Role, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Affinity:
    """No two instances on one node."""

    pod_anti_affinity_type: Literal["required", "preferred"]
    enable_pod_anti_affinity: bool = True
    topology_key: str = "kubernetes.io/hostname"


@dataclass(frozen=True, kw_only=True, slots=True)
class IsolationCheck:
    """A primary that reaches neither the API server nor another instance stops; milliseconds."""

    request_timeout: int
    connection_timeout: int
    enabled: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class LivenessProbe:
    """When an instance is restarted."""

    isolation_check: IsolationCheck
    period_seconds: int
    timeout_seconds: int
    failure_threshold: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadinessProbe:
    """When an instance counts as there: a standby that follows the primary closely."""

    maximum_lag: str
    type: Literal["streaming"] = "streaming"


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterProbes:
    """Of the instances."""

    liveness: LivenessProbe
    readiness: ReadinessProbe


@dataclass(frozen=True, kw_only=True, slots=True)
class Plugin:
    """What else works with the instances."""

    name: str
    is_wal_archiver: bool = field(metadata=spelled("isWALArchiver"))
    parameters: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterSpec:
    """A primary, its standbys, and who takes over.

    Attributes:
        instances: How many there are together.
        image_name: The operator's own when left out.
        switchover_delay: Seconds that a primary has to shut down in order, until it is made to.
        smart_shutdown_timeout: Seconds of these in which clients may finish.
    """

    description: str
    instances: int
    image_name: str | None
    bootstrap: Bootstrap
    managed: Managed
    postgresql: Configuration
    storage: Storage
    resources: Resources
    affinity: Affinity
    topology_spread_constraints: tuple[TopologySpread, ...]
    probes: ClusterProbes
    inherited_metadata: Metadata
    service_account_template: Templated | None
    plugins: tuple[Plugin, ...]
    priority_class_name: str | None
    switchover_delay: int
    smart_shutdown_timeout: int
    enable_superuser_access: bool = False
    primary_update_strategy: Literal["unsupervised"] = "unsupervised"
    primary_update_method: Literal["switchover"] = "switchover"


class Cluster(TypedResource[ClusterSpec], api_version=API_VERSION):
    """A Postgres cluster."""
