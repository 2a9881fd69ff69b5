# ruff: noqa: N802, ARG002 - methods are named after the types that they make, and all have the same parameters
"""Managed databases and caches, and who may connect to them."""

from __future__ import annotations

from typing import Any, Final

from infra.components.aws.managed_postgres import entry_name
from tests.infra.aws.making import Inputs, Maker, pascal

_RDS_NAMES: Final = {
    "identifier": "DBInstanceIdentifier",
    "instanceClass": "DBInstanceClass",
    "dbName": "DBName",
    "username": "MasterUsername",
    "multiAz": "MultiAZ",
    "dbSubnetGroupName": "DBSubnetGroupName",
    "parameterGroupName": "DBParameterGroupName",
    "performanceInsightsEnabled": "EnablePerformanceInsights",
    "enabledCloudwatchLogsExports": "EnableCloudwatchLogsExports",
}
_RDS_NOT_AT_CREATION: Final = {
    *("applyImmediately", "allowMajorVersionUpgrade", "deleteAutomatedBackups"),
    *("skipFinalSnapshot", "finalSnapshotIdentifier", "vpcSecurityGroupIds"),
}
"""What Pulumi keeps for later calls, and what only a deployment can tell."""

_RDS_READ: Final = {
    "identifier": "DBInstanceIdentifier",
    "engine": "Engine",
    "engineVersion": "EngineVersion",
    "instanceClass": "DBInstanceClass",
    "dbName": "DBName",
    "username": "MasterUsername",
    "allocatedStorage": "AllocatedStorage",
    "maxAllocatedStorage": "MaxAllocatedStorage",
    "storageType": "StorageType",
    "storageEncrypted": "StorageEncrypted",
    "multiAz": "MultiAZ",
    "publiclyAccessible": "PubliclyAccessible",
    "backupRetentionPeriod": "BackupRetentionPeriod",
    "deletionProtection": "DeletionProtection",
    "copyTagsToSnapshot": "CopyTagsToSnapshot",
    "autoMinorVersionUpgrade": "AutoMinorVersionUpgrade",
    "enabledCloudwatchLogsExports": "EnabledCloudwatchLogsExports",
}
_CACHE_NAMES: Final = {
    "description": "ReplicationGroupDescription",
    "nodeType": "CacheNodeType",
    "subnetGroupName": "CacheSubnetGroupName",
    "parameterGroupName": "CacheParameterGroupName",
    "multiAzEnabled": "MultiAZEnabled",
}
_CACHE_READ: Final = {
    "replicationGroupId": "ReplicationGroupId",
    "description": "Description",
    "engine": "Engine",
    "nodeType": "CacheNodeType",
    "atRestEncryptionEnabled": "AtRestEncryptionEnabled",
    "transitEncryptionEnabled": "TransitEncryptionEnabled",
    "transitEncryptionMode": "TransitEncryptionMode",
    "snapshotRetentionLimit": "SnapshotRetentionLimit",
    "autoMinorVersionUpgrade": "AutoMinorVersionUpgrade",
}


class Stores(Maker):
    """RDS, ElastiCache and the security groups before them."""

    def _rds(self) -> Any:
        return self.server.client("rds")

    def _elasticache(self) -> Any:
        return self.server.client("elasticache")

    def _ec2(self) -> Any:
        return self.server.client("ec2")

    def _network(self) -> tuple[str, list[str]]:
        """A VPC and two subnets in place of those that the settings name."""
        if "vpc" not in self.ids:
            vpc = self._ec2().create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
            subnets = [
                self._ec2().create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24")["Subnet"]["SubnetId"]
                for number in (1, 2)
            ]
            self.ids |= {"vpc": vpc, "subnets": " ".join(subnets)}
        return self.ids["vpc"], self.ids["subnets"].split()

    def make_ec2_SecurityGroup(self, name: str, inputs: Inputs) -> None:
        made = self._ec2().create_security_group(
            GroupName=inputs["name"], Description=inputs["description"], VpcId=self._network()[0]
        )
        self.ids[f"group {name}"] = made["GroupId"]
        assert inputs["egress"] == []
        self._ec2().revoke_security_group_egress(
            GroupId=made["GroupId"],
            IpPermissions=[{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}],
        )

    def read_ec2_SecurityGroup(self, name: str, inputs: Inputs) -> dict[str, Any]:
        (found,) = self._ec2().describe_security_groups(GroupIds=[self.ids[f"group {name}"]])[
            "SecurityGroups"
        ]
        return {
            "name": found["GroupName"],
            "description": found["Description"],
            "egress": found["IpPermissionsEgress"],
        }

    def make_vpc_SecurityGroupIngressRule(self, name: str, inputs: Inputs) -> None:
        store = name.rpartition("-")[0]
        client = self._ec2().create_security_group(
            GroupName=name, Description="clients", VpcId=self._network()[0]
        )["GroupId"]
        self._ec2().authorize_security_group_ingress(
            GroupId=self.ids[f"group {store}"],
            IpPermissions=[
                {
                    "IpProtocol": inputs["ipProtocol"],
                    "FromPort": inputs["fromPort"],
                    "ToPort": inputs["toPort"],
                    "UserIdGroupPairs": [{"GroupId": client}],
                }
            ],
        )

    def read_vpc_SecurityGroupIngressRule(self, name: str, inputs: Inputs) -> dict[str, Any]:
        group = self.ids[f"group {name.rpartition('-')[0]}"]
        (found,) = self._ec2().describe_security_groups(GroupIds=[group])["SecurityGroups"]
        (rule,) = found["IpPermissions"]
        assert rule["IpRanges"] == []
        return {"ipProtocol": rule["IpProtocol"], "fromPort": rule["FromPort"], "toPort": rule["ToPort"]}

    def make_rds_SubnetGroup(self, name: str, inputs: Inputs) -> None:
        self._rds().create_db_subnet_group(
            DBSubnetGroupName=inputs["name"], DBSubnetGroupDescription="made", SubnetIds=self._network()[1]
        )

    def read_rds_SubnetGroup(self, name: str, inputs: Inputs) -> dict[str, Any]:
        found = self._rds().describe_db_subnet_groups(DBSubnetGroupName=inputs["name"])["DBSubnetGroups"]
        return {"name": found[0]["DBSubnetGroupName"]}

    def make_rds_ParameterGroup(self, name: str, inputs: Inputs) -> None:
        self._rds().create_db_parameter_group(
            DBParameterGroupName=inputs["name"], DBParameterGroupFamily=inputs["family"], Description="made"
        )
        parameters = [
            {"ParameterName": it["name"], "ParameterValue": it["value"], "ApplyMethod": it["applyMethod"]}
            for it in inputs["parameters"]
        ]
        self._rds().modify_db_parameter_group(DBParameterGroupName=inputs["name"], Parameters=parameters)

    def read_rds_ParameterGroup(self, name: str, inputs: Inputs) -> dict[str, Any]:
        found = self._rds().describe_db_parameter_groups(DBParameterGroupName=inputs["name"])
        parameters = self._rds().describe_db_parameters(DBParameterGroupName=inputs["name"])["Parameters"]
        return {
            "name": inputs["name"],
            "family": found["DBParameterGroups"][0]["DBParameterGroupFamily"],
            "parameters": [
                {"name": it["ParameterName"], "value": it["ParameterValue"], "applyMethod": it["ApplyMethod"]}
                for it in parameters
            ],
        }

    def make_rds_Instance(self, name: str, inputs: Inputs) -> None:
        asked = {key: value for key, value in inputs.items() if key not in _RDS_NOT_AT_CREATION}
        self._rds().create_db_instance(
            **pascal(asked, **_RDS_NAMES), VpcSecurityGroupIds=[self.ids[f"group {name}"]]
        )

    def read_rds_Instance(self, name: str, inputs: Inputs) -> dict[str, Any]:
        found = self._rds().describe_db_instances(DBInstanceIdentifier=inputs["identifier"])["DBInstances"][0]
        entry = self.server.client("secretsmanager").describe_secret(
            SecretId=found["MasterUserSecret"]["SecretArn"]
        )
        assert entry["Name"] == entry_name(entry["ARN"])
        assert [it["VpcSecurityGroupId"] for it in found["VpcSecurityGroups"]] == [self.ids[f"group {name}"]]
        return {
            **{key: found[theirs] for key, theirs in _RDS_READ.items()},
            "manageMasterUserPassword": found["MasterUserSecret"]["SecretStatus"] == "active",
            "dbSubnetGroupName": found["DBSubnetGroup"]["DBSubnetGroupName"],
            "parameterGroupName": found["DBParameterGroups"][0]["DBParameterGroupName"],
        }

    def make_elasticache_SubnetGroup(self, name: str, inputs: Inputs) -> None:
        self._elasticache().create_cache_subnet_group(
            CacheSubnetGroupName=inputs["name"],
            CacheSubnetGroupDescription="made",
            SubnetIds=self._network()[1],
        )

    def read_elasticache_SubnetGroup(self, name: str, inputs: Inputs) -> dict[str, Any]:
        found = self._elasticache().describe_cache_subnet_groups(CacheSubnetGroupName=inputs["name"])
        return {"name": found["CacheSubnetGroups"][0]["CacheSubnetGroupName"]}

    def make_elasticache_ParameterGroup(self, name: str, inputs: Inputs) -> None:
        self.check(
            "elasticache",
            "CreateCacheParameterGroup",
            CacheParameterGroupName=inputs["name"],
            CacheParameterGroupFamily=inputs["family"],
            Description="made",
        )

    def read_elasticache_ParameterGroup(self, name: str, inputs: Inputs) -> dict[str, Any]:
        return dict(inputs)

    def make_elasticache_ReplicationGroup(self, name: str, inputs: Inputs) -> None:
        asked = {
            key: value for key, value in inputs.items() if key not in {"securityGroupIds", "applyImmediately"}
        }
        self._elasticache().create_replication_group(
            **pascal(asked, **_CACHE_NAMES), SecurityGroupIds=[self.ids[f"group {name}"]]
        )

    def read_elasticache_ReplicationGroup(self, name: str, inputs: Inputs) -> dict[str, Any]:
        found = self._elasticache().describe_replication_groups(
            ReplicationGroupId=inputs["replicationGroupId"]
        )["ReplicationGroups"][0]
        return {
            **{key: found[theirs] for key, theirs in _CACHE_READ.items()},
            "automaticFailoverEnabled": found["AutomaticFailover"] == "enabled",
            "multiAzEnabled": found["MultiAZ"] == "enabled",
        }
