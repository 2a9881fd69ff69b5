"""The connections that backups and restores open. Pure."""

from __future__ import annotations

from typing import Final

from infra.components.backup_pods import BackupArgs
from infra.components.platform_flows import dns, store
from infra.flows import Flow, Networks, Pods, credentials_agent, outside, service
from infra.naming import (
    ALL_BACKUPS,
    BACKUP_CONFIGURATION,
    BACKUP_POSTGRES,
    BACKUP_REDIS,
    POSTGRES,
    REDIS,
    RESTORE_POSTGRES,
    RESTORE_REDIS,
)
from infra.settings.groups import Network

_JOBS: Final = Pods(title=ALL_BACKUPS, components=("backup",))


def backup_flows(args: BackupArgs, network: Network) -> list[Flow]:
    """The bucket for all; a store for those alone that copy it or restore to it."""
    wanted = args.settings
    found = [
        *outside(_JOBS, wanted.cidrs, args.place.port),
        *([credentials_agent(_JOBS)] if args.place.agent else []),
        *dns(network, _JOBS),
    ]
    if wanted.postgres:
        database = store(POSTGRES, args.postgres)
        found += [
            Flow(source=service(job), target=database, port=args.postgres.port)
            for job in (BACKUP_POSTGRES, RESTORE_POSTGRES)
        ]
    if wanted.redis and args.redis:
        found += [
            Flow(source=service(job), target=store(REDIS, args.redis), port=args.redis.port)
            for job in (BACKUP_REDIS, RESTORE_REDIS)
        ]
    if wanted.configuration:
        api_server = Networks(cidrs=network.api_server_cidrs)
        job = service(BACKUP_CONFIGURATION)
        found.append(Flow(source=job, target=api_server, port=network.api_server_port))
    return found
