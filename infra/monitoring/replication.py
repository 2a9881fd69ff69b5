"""When somebody is called about replicated stores: they still work, but the next fall would hurt. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from infra.monitoring.series import Series
from infra.naming import POSTGRES, REDIS

_MOST_UNSENT: Final = 10
"""Segments of Postgres' log, 16 MiB each, that wait to be archived."""
_OLDEST_COPY_SECONDS: Final = 36 * 3600
_FIRST_COPY: Final = "6h"
"""In which the first copy is made: it begins with the database. Until then its time is 0."""

Condition = tuple[str, str, str, str]
"""An alert's name, expression, duration and summary."""


def conditions(own: Series, members: Mapping[str, int]) -> tuple[Condition, ...]:
    """What is wrong with stores that have several members; nothing is said of others.

    Args:
        own: The stack's series.
        members: How many a store should have, by its name.
    """
    return (
        *(_redis(own, members[REDIS] - 1) if REDIS in members else ()),
        *(_postgres(own, members[POSTGRES] - 1) if POSTGRES in members else ()),
    )


def _redis(own: Series, replicas: int) -> tuple[Condition, ...]:
    primaries = own.of("redis_instance_info", role="master")
    return (
        (
            "McpRedisReplicaMissing",
            f"max({own.of('redis_connected_slaves')}) < {replicas}",
            "5m",
            f"{{{{ $value }}}} of {replicas} replicas follow Redis' primary; without any it takes no writes.",
        ),
        (
            "McpRedisFailedOver",
            f"count(count by (pod) (max_over_time({primaries}[10m]))) > 1",
            "0m",
            "Another server became Redis' primary: the one before was stopped, or silent for too long.",
        ),
    )


def _postgres(own: Series, standbys: int) -> tuple[Condition, ...]:
    unsent = own.of("cnpg_collector_pg_wal_archive_status", value="ready")
    copied = own.of("barman_cloud_cloudnative_pg_io_last_available_backup_timestamp")
    late = f"time() - max({copied} > 0) > {_OLDEST_COPY_SECONDS}"
    never = f"(max({copied}) == 0 and max({copied} offset {_FIRST_COPY}) == 0)"
    return (
        (
            "McpPostgresStandbyMissing",
            f"max({own.of('cnpg_pg_replication_streaming_replicas')}) < {standbys}",
            "5m",
            f"{{{{ $value }}}} of {standbys} standbys follow Postgres' primary; without any, writes wait.",
        ),
        (
            "McpPostgresArchiveBehind",
            f"max({unsent}) > {_MOST_UNSENT} or {late} or {never}",
            "15m",
            "Postgres' log or its nightly copy doesn't reach the archive: what is new can't be restored.",
        ),
    )
