"""A managed Valkey: ElastiCache with replicas in other zones, encrypted on disk and on the way.

Its AUTH token is set once by its owner (docs/guides/production.md), so that neither this program nor its
state ever holds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_aws import elasticache

from infra.components.aws import naming
from infra.components.aws.managed_network import StoreAccess, StoreAccessArgs
from infra.naming import Stack
from infra.settings.aws import ElastiCache, Vpc

PORT = 6379


@dataclass(frozen=True, kw_only=True, slots=True)
class ManagedRedisArgs:
    """One replication group.

    Attributes:
        stack: The stack.
        settings: Its size and version.
        vpc: Where it stands.
    """

    stack: Stack
    settings: ElastiCache
    vpc: Vpc


class ManagedRedis(pulumi.ComponentResource):
    """ElastiCache for Valkey, one shard.

    Attributes:
        outputs: `cacheHost`, where the primary is.
    """

    outputs: Mapping[str, pulumi.Output[str]]

    def __init__(self, name: str, args: ManagedRedisArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mcp:aws:ManagedRedis", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        settings, own = args.settings, naming.cache(args.stack)
        access = StoreAccess(name, StoreAccessArgs(name=own, vpc=args.vpc, port=PORT), child)
        subnets = elasticache.SubnetGroup(name, name=own, subnet_ids=list(args.vpc.subnets), opts=child)
        parameters = elasticache.ParameterGroup(
            name,
            name=f"{own}-valkey{settings.version.partition('.')[0]}",
            family=f"valkey{settings.version.partition('.')[0]}",
            parameters=[
                # What replicas share must not be thrown out at random: a full store refuses writes instead.
                elasticache.ParameterGroupParameterArgs(name="maxmemory-policy", value="noeviction")
            ],
            opts=child,
        )
        group = elasticache.ReplicationGroup(
            name,
            replication_group_id=own,
            description=f"What replicas of stack {args.stack.name} share",
            engine="valkey",
            engine_version=settings.version,
            node_type=settings.node_type,
            num_cache_clusters=settings.replicas + 1,
            automatic_failover_enabled=True,
            multi_az_enabled=True,
            at_rest_encryption_enabled=True,
            transit_encryption_enabled=True,
            transit_encryption_mode="required",
            subnet_group_name=subnets.name,
            security_group_ids=[access.security_group],
            parameter_group_name=parameters.name,
            snapshot_retention_limit=settings.snapshot_days,
            auto_minor_version_upgrade=True,
            apply_immediately=False,
            opts=pulumi.ResourceOptions(
                parent=self, protect=True, ignore_changes=["authToken", "authTokenUpdateStrategy"]
            ),
        )
        self.outputs = {"cacheHost": group.primary_endpoint_address}
        self.register_outputs(self.outputs)
