"""What a stack's data stores need around them."""

from __future__ import annotations

from collections.abc import Mapping

from infra.components.postgres import PostgresEndpoint
from infra.components.postgres_cluster import PODS
from infra.components.redis import RedisEndpoint
from infra.components.store_flows import postgres_flows, redis_flows
from infra.flows import Flow
from infra.naming import POSTGRES, REDIS
from infra.settings import Settings
from infra.settings.groups import AnyPostgres, AnyRedis, ExternalPostgres, ExternalRedis, PostgresStore
from infra.settings.replication import PostgresReplication


def is_built_here(store: AnyRedis | AnyPostgres) -> bool:
    """Whether an image of ours is built for it. CloudNativePG brings its own."""
    if isinstance(store, ExternalRedis | ExternalPostgres):
        return False
    return store.image is None and not (isinstance(store, PostgresStore) and store.replication)


def replication_of(store: AnyPostgres) -> PostgresReplication | None:
    """How Postgres is replicated inside the cluster."""
    return None if isinstance(store, ExternalPostgres) else store.replication


def is_archived(store: AnyPostgres) -> bool:
    """Whether its log goes to the stack's bucket."""
    replication = replication_of(store)
    return replication is not None and replication.archive is not None


def store_flows(settings: Settings, redis: RedisEndpoint, postgres: PostgresEndpoint) -> list[Flow]:
    """The connections among members of replicated stores, and with those who look after them."""
    pod_identity = settings.aws is not None and settings.aws.identity == "pod-identity"
    replication = replication_of(settings.postgres)
    return [
        *redis_flows(settings.network, redis),
        *postgres_flows(settings.network, postgres, replication, pod_identity=pod_identity),
    ]


def members_of(settings: Settings) -> dict[str, int]:
    """How many members replicated stores should have."""
    redis, postgres = settings.redis, replication_of(settings.postgres)
    found: dict[str, int] = {}
    if not isinstance(redis, ExternalRedis) and redis.replication:
        found[REDIS] = redis.replication.servers
    if postgres:
        found[POSTGRES] = postgres.instances
    return found


def operated_stores(settings: Settings) -> dict[str, Mapping[str, str]]:
    """Labels of pods that an operator makes, by the store's name."""
    return {POSTGRES: PODS} if replication_of(settings.postgres) else {}
