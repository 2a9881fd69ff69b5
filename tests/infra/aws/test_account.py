"""Everything that a stack declares in AWS is made in an account, by the graph's inputs, and read back."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.engine.graph import UNKNOWN, Resource
from services.backup.bucket import Bucket
from services.backup.errors import BackupError
from services.backup.settings import BucketSettings
from tests.infra.aws.firewall import Firewall
from tests.infra.aws.identity import Identities
from tests.infra.aws.server import REGION, Server
from tests.infra.aws.storage import Storage
from tests.infra.aws.stores import Stores
from tests.infra.variants import REPOSITORY

BUCKET = "mcp-platform-prod-backups-123456789012-eu-central-1"

NOT_READ = {
    # Of the provider alone, or for calls that come later.
    "ecr.Repository": {"forceDelete"},
    "s3.Bucket": {"forceDestroy"},
    "kms.Key": {"deletionWindowInDays"},
    "rds.Instance": {
        *("allowMajorVersionUpgrade", "applyImmediately", "deleteAutomatedBackups"),
        *("finalSnapshotIdentifier", "skipFinalSnapshot"),
        # moto forgets these.
        *("performanceInsightsEnabled", "performanceInsightsRetentionPeriod"),
        # Read, and compared with what was made before.
        "vpcSecurityGroupIds",
    },
    "elasticache.ReplicationGroup": {
        "applyImmediately",
        # moto forgets these.
        *("engineVersion", "numCacheClusters", "parameterGroupName", "securityGroupIds", "subnetGroupName"),
    },
    # The settings name what this account doesn't have: it gets a VPC and clients of its own.
    "rds.SubnetGroup": {"description", "subnetIds"},
    "elasticache.SubnetGroup": {"description", "subnetIds"},
    "ec2.SecurityGroup": {"vpcId"},
    "vpc.SecurityGroupIngressRule": {"referencedSecurityGroupId", "securityGroupId"},
    "rds.ParameterGroup": {"description"},
    # Compared in tests of their own.
    "kms.Alias": {"targetKeyId"},
    "wafv2.WebAcl": {"rules", "scope"},
}
"""Inputs that the account can't be asked for, and why. All others are compared."""


class Account(Storage, Identities, Stores, Firewall):
    """Everything that the platform uses of AWS."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("aws") / "server.log")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def account(server: Server, declared: list[Resource]) -> Account:
    made = Account(server)
    for resource in declared:
        made.make(resource)
    return made


@pytest.fixture(scope="module")
def found(account: Account, declared: list[Resource]) -> dict[str, dict[str, Any]]:
    """What the account says of each resource, by its URN, before anything is changed."""
    return {resource.urn: account.read(resource) for resource in declared}


@pytest.fixture(scope="module")
def rules(account: Account) -> list[dict[str, Any]]:
    """The firewall's."""
    return account.rules_of("mcp-platform-prod-edge")


def short(resource: Resource) -> str:
    """`s3.Bucket`, as the program writes it."""
    return f"{resource.type.split(':')[1].partition('/')[0]}.{resource.type.rpartition(':')[2]}"


def test_all_that_is_declared_is_what_the_account_then_has(
    found: dict[str, dict[str, Any]], declared: list[Resource]
) -> None:
    different: dict[str, Any] = {}
    unread: dict[str, set[str]] = {}
    for resource in declared:
        told = found[resource.urn]
        assert told, resource.urn
        wanted = {key: value for key, value in resource.inputs.items() if key in told}
        if told != wanted:
            different[resource.urn] = (wanted, told)
        unread.setdefault(short(resource), set()).update(resource.inputs.keys() - told.keys())
    assert different == {}
    assert {kind: keys for kind, keys in unread.items() if keys} == NOT_READ


def test_every_type_that_the_program_knows_is_among_them(declared: list[Resource]) -> None:
    sources = [path.read_text() for path in (REPOSITORY / "infra/components/aws").glob("*.py")]
    modules = "|".join(sorted({name for text in sources for name in _modules(text)}))
    written = {
        f"{module}.{kind}"
        for text in sources
        for module, kind in re.findall(rf"\b({modules})\.([A-Z]\w+)\(", text)
        if not kind.endswith("Args")
    }
    assert written == {short(it) for it in declared}


def _modules(source: str) -> list[str]:
    return [
        name
        for line in re.findall(r"^from pulumi_aws import (.+)$", source, re.MULTILINE)
        for name in line.split(", ")
    ]


def test_the_firewall_bounds_addresses_and_lets_large_arguments_through(
    rules: list[dict[str, Any]],
) -> None:
    rate, *managed = rules
    assert rate["Statement"]["RateBasedStatement"]["Limit"] == 3000
    assert rate["Action"] == {"Block": {}}
    counted = {
        item["Name"]
        for rule in managed
        for item in rule["Statement"]["ManagedRuleGroupStatement"].get("RuleActionOverrides", [])
        if item["ActionToUse"] == {"Count": {}}
    }
    assert counted >= {"SizeRestrictions_BODY"}
    assert all(rule["OverrideAction"] == {"None": {}} for rule in managed)
    assert not any(rule["VisibilityConfig"]["SampledRequestsEnabled"] for rule in (rate, *managed))


def test_no_secret_is_among_the_inputs(declared: list[Resource]) -> None:
    text = json.dumps([dict(item.inputs) for item in declared], default=str).lower()
    assert '"password"' not in text
    assert "authtoken" not in text


def test_stateful_resources_are_protected(declared: list[Resource]) -> None:
    kept = {item.type.rpartition(":")[2] for item in declared if item.options.get("protect")}
    assert kept == {"Key", "Bucket", "Instance", "ReplicationGroup"}


def test_only_what_a_deployment_gives_is_unknown(declared: list[Resource]) -> None:
    unknown = {
        f"{item.type.rpartition(':')[2]}.{key}"
        for item in declared
        for key, value in item.inputs.items()
        if value is UNKNOWN or value == [UNKNOWN]
    }
    assert unknown == {
        "Alias.targetKeyId",
        "Instance.vpcSecurityGroupIds",
        "ReplicationGroup.securityGroupIds",
        "SecurityGroupIngressRule.securityGroupId",
    }


@pytest.fixture(scope="module")
def guarded(server: Server, account: Account, request: pytest.FixtureRequest) -> Iterator[Server]:
    """The same account, in which IAM's policies now count."""
    for before in ("found", "rules"):  # whichever test comes first
        request.getfixturevalue(before)
    s3 = account.server.client("s3")
    s3.delete_bucket_policy(Bucket=BUCKET)  # moto would take each Deny for one without conditions
    s3.put_object(Bucket=BUCKET, Key="first", Body=b"1")
    server.enforce(policies=True)
    yield server
    server.enforce(policies=False)


def as_role(server: Server, role: str, service: str) -> Any:
    """A client with the credentials that a pod with this role gets."""
    server.enforce(policies=False)
    arn = f"arn:aws:iam::123456789012:role/mcp-platform-prod-{role}"
    taken = server.client("sts").assume_role(RoleArn=arn, RoleSessionName="pod")["Credentials"]
    server.enforce(policies=True)
    return server.client(
        service,
        aws_access_key_id=taken["AccessKeyId"],
        aws_secret_access_key=taken["SecretAccessKey"],
        aws_session_token=taken["SessionToken"],
    )


def permitted(call: Any, **arguments: Any) -> bool:
    try:
        call(**arguments)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 403:
            return False
        raise
    return True


def test_the_backup_role_adds_objects_and_can_do_nothing_else(guarded: Server) -> None:
    s3 = as_role(guarded, "backup", "s3")
    assert permitted(s3.put_object, Bucket=BUCKET, Key="second", Body=b"2")
    assert permitted(s3.list_objects_v2, Bucket=BUCKET)
    assert not permitted(s3.get_object, Bucket=BUCKET, Key="first")
    assert not permitted(s3.delete_object, Bucket=BUCKET, Key="first")
    assert not permitted(
        s3.put_bucket_versioning, Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"}
    )
    iam = as_role(guarded, "backup", "iam")
    assert not permitted(iam.list_roles)


def test_the_restore_role_reads_and_can_not_write(guarded: Server) -> None:
    s3 = as_role(guarded, "restore", "s3")
    assert permitted(s3.get_object, Bucket=BUCKET, Key="first")
    assert not permitted(s3.put_object, Bucket=BUCKET, Key="third", Body=b"3")
    assert not permitted(s3.delete_object, Bucket=BUCKET, Key="first")


def test_the_databases_role_keeps_its_own_folder_and_can_not_unlock_it(guarded: Server) -> None:
    s3 = as_role(guarded, "postgres", "s3")
    own = {"Bucket": BUCKET, "Key": "postgres/wals/1"}
    assert permitted(s3.put_object, **own, Body=b"1")
    assert permitted(s3.get_object, **own)
    assert permitted(s3.delete_object, **own)
    assert permitted(s3.list_objects_v2, Bucket=BUCKET)
    assert not permitted(s3.get_object, Bucket=BUCKET, Key="first")
    assert not permitted(s3.put_object, Bucket=BUCKET, Key="postgres-of-others", Body=b"1")
    assert not permitted(s3.delete_object, **own, VersionId="1")
    assert not permitted(
        s3.put_bucket_versioning, Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"}
    )


@contextmanager
def of_role(server: Server, role: str) -> Generator[Bucket]:
    """The programs' bucket, as their pods use it that have this role."""
    server.enforce(policies=False)
    arn = f"arn:aws:iam::123456789012:role/mcp-platform-prod-{role}"
    taken = server.client("sts").assume_role(RoleArn=arn, RoleSessionName="pod")["Credentials"]
    server.enforce(policies=True)
    told = {
        "AWS_ACCESS_KEY_ID": taken["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": taken["SecretAccessKey"],
        "AWS_SESSION_TOKEN": taken["SessionToken"],
        "BACKUP_STACK": "prod",
        "BACKUP_NAMESPACE": "mcp-prod",
        "BACKUP_BUCKET": f"s3://{BUCKET}",
        "BACKUP_REGION": REGION,
        "BACKUP_ENDPOINT": server.url,
        "BACKUP_ENCRYPTION": "aws:kms",
        "BACKUP_KEY": f"arn:aws:kms:{REGION}:123456789012:alias/{BUCKET}",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in told.items():
            patch.setenv(name, value)
        yield Bucket(BucketSettings())  # pyright: ignore[reportCallIssue] - from the environment


def test_a_backup_needs_no_more_than_its_role_and_a_restore_no_more_than_its_own(guarded: Server) -> None:
    with of_role(guarded, "backup") as bucket:
        made = bucket.keep("redis", [b"snapshot"], {}, {})
        assert bucket.times("redis") == [made.time]
        with pytest.raises(BackupError, match="AccessDenied"):
            bucket.find("redis", "newest")
    with of_role(guarded, "restore") as bucket:
        assert b"".join(bucket.read(bucket.find("redis", "newest"))) == b"snapshot"
        with pytest.raises(BackupError, match="AccessDenied"):
            bucket.keep("redis", [b"snapshot"], {}, {})
    assert made.version


def test_external_secrets_reads_entries_and_buckets_not_at_all(guarded: Server) -> None:
    assert not permitted(as_role(guarded, "external-secrets", "s3").get_object, Bucket=BUCKET, Key="first")
    secrets = as_role(guarded, "external-secrets", "secretsmanager")
    assert not permitted(secrets.create_secret, Name="mcp-platform/prod/y", SecretString="x")
    assert not permitted(secrets.list_secrets)
