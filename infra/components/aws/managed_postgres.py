"""A managed PostgreSQL: RDS in two zones, encrypted, restorable to any second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_aws import rds

from infra.components.aws import naming
from infra.components.aws.managed_network import StoreAccess, StoreAccessArgs
from infra.naming import Stack
from infra.settings.aws import Rds, Vpc

PORT = 5432
INSIGHTS_DAYS = 7


@dataclass(frozen=True, kw_only=True, slots=True)
class ManagedPostgresArgs:
    """One instance.

    Attributes:
        stack: The stack.
        settings: Its size and version.
        vpc: Where it stands.
        protected: Whether it refuses to be deleted.
    """

    stack: Stack
    settings: Rds
    vpc: Vpc
    protected: bool


def build_parameters() -> list[rds.ParameterGroupParameterArgs]:
    """TLS only; slow statements are logged, what they were called with is not."""
    values = {
        "rds.force_ssl": "1",
        "log_min_duration_statement": "1000",
        "log_parameter_max_length": "0",
        "log_parameter_max_length_on_error": "0",
    }
    return [rds.ParameterGroupParameterArgs(name=name, value=value) for name, value in values.items()]


def entry_name(arn: str) -> str:
    """The name in an entry's ARN, which AWS ends with a hyphen and six characters of its own."""
    return arn.rpartition(":")[2][:-7]


class ManagedPostgres(pulumi.ComponentResource):
    """RDS for PostgreSQL. Secrets Manager holds the master's password and renews it.

    Attributes:
        outputs: `databaseHost`, and `databaseSecret`, the name of the master's entry in Secrets Manager.
    """

    outputs: Mapping[str, pulumi.Output[str]]

    def __init__(
        self, name: str, args: ManagedPostgresArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("mcp:aws:ManagedPostgres", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        # The instance outlives the stack, and AWS deletes none of these while it is there.
        stays = pulumi.ResourceOptions(parent=self, retain_on_delete=True)
        settings, own = args.settings, naming.database(args.stack)
        access = StoreAccess(name, StoreAccessArgs(name=own, vpc=args.vpc, port=PORT, kept=True), child)
        subnets = rds.SubnetGroup(name, name=own, subnet_ids=list(args.vpc.subnets), opts=stays)
        parameters = rds.ParameterGroup(
            name,
            name=f"{own}-{settings.version}",
            family=f"postgres{settings.version}",
            parameters=build_parameters(),
            opts=stays,
        )
        instance = rds.Instance(
            name,
            identifier=own,
            engine="postgres",
            engine_version=settings.version,
            instance_class=settings.instance_class,
            allocated_storage=settings.storage_gib,
            max_allocated_storage=settings.max_storage_gib,
            storage_type="gp3",
            storage_encrypted=True,
            multi_az=True,
            db_name="mcp",
            username="mcp",
            manage_master_user_password=True,
            db_subnet_group_name=subnets.name,
            vpc_security_group_ids=[access.security_group],
            publicly_accessible=False,
            parameter_group_name=parameters.name,
            backup_retention_period=settings.backup_days,
            delete_automated_backups=False,
            copy_tags_to_snapshot=True,
            deletion_protection=args.protected,
            skip_final_snapshot=False,
            final_snapshot_identifier=f"{own}-final",
            auto_minor_version_upgrade=True,
            allow_major_version_upgrade=False,
            apply_immediately=False,
            enabled_cloudwatch_logs_exports=["postgresql", "upgrade"],
            performance_insights_enabled=True,
            performance_insights_retention_period=INSIGHTS_DAYS,
            opts=pulumi.ResourceOptions(parent=self, protect=True, retain_on_delete=True),
        )
        entry = instance.master_user_secrets.apply(lambda secrets: entry_name(secrets[0].secret_arn or ""))
        self.outputs = {"databaseHost": instance.address, "databaseSecret": entry}
        self.register_outputs(self.outputs)
