"""What the declared policies allow and deny, with the conditions that they make."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from infra.components.aws import grants
from infra.components.aws.documents import document
from infra.engine.graph import Graph, Resource
from infra.engine.manifest import manifests
from infra.settings.aws import Aws
from tests.infra.aws.conftest import SOURCE
from tests.infra.aws.simulating import permitted
from tests.infra.flows import Place, declared_pods, flows
from tests.infra.variants import evaluate_prod

ACCOUNT, REGION = "123456789012", "eu-central-1"
BUCKET = f"arn:aws:s3:::mcp-platform-prod-backups-{ACCOUNT}-{REGION}"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd"
ALIAS = f"alias/mcp-platform-prod-backups-{ACCOUNT}-{REGION}"
CLUSTER = f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/mcp-prod"
OWN = {"aws:PrincipalAccount": ACCOUNT, "aws:SecureTransport": "true", "s3:TlsVersion": "1.3"}
ISSUER = f"oidc.eks.{REGION}.amazonaws.com/id/ABC"


def inputs(declared: Sequence[Resource], kind: str, name: str, key: str) -> str:
    (found,) = [it.inputs[key] for it in declared if it.type.endswith(f":{kind}") and it.name == name]
    return str(found)


def granted(declared: Sequence[Resource], role: str) -> list[str]:
    return [inputs(declared, "RolePolicy", role, "policy")]


@pytest.mark.parametrize(
    ("role", "action", "resource", "allowed"),
    [
        ("backup", "s3:PutObject", "/prod/redis/1/dump.rdb", True),
        ("backup", "s3:ListBucket", "", True),
        ("backup", "s3:GetObject", "/prod/redis/1/dump.rdb", False),
        ("backup", "s3:DeleteObject", "/prod/redis/1/dump.rdb", False),
        ("backup", "s3:PutObjectRetention", "/prod/redis/1/dump.rdb", False),
        ("backup", "s3:BypassGovernanceRetention", "/prod/redis/1/dump.rdb", False),
        ("backup", "s3:PutObject", "-of-somebody/x", False),
        ("restore", "s3:GetObjectVersion", "/prod/redis/1/dump.rdb", True),
        ("restore", "s3:PutObject", "/prod/redis/1/dump.rdb", False),
        ("postgres", "s3:DeleteObject", "/postgres/wals/1", True),
        ("postgres", "s3:DeleteObjectVersion", "/postgres/wals/1", False),
        ("postgres", "s3:GetObject", "/prod/postgres/1/dump", False),
        ("postgres", "s3:PutBucketPolicy", "", False),
        ("external-secrets", "s3:GetObject", "/prod/redis/1/dump.rdb", False),
    ],
)
def test_roles_reach_what_they_need_of_the_bucket(
    declared: list[Resource], role: str, action: str, resource: str, allowed: bool
) -> None:
    assert permitted(granted(declared, role), action, BUCKET + resource) == allowed


@pytest.mark.parametrize(
    ("role", "action", "alias", "service", "allowed"),
    [
        ("backup", "kms:GenerateDataKey", ALIAS, f"s3.{REGION}.amazonaws.com", True),
        ("restore", "kms:Decrypt", ALIAS, f"s3.{REGION}.amazonaws.com", True),
        ("restore", "kms:GenerateDataKey", ALIAS, f"s3.{REGION}.amazonaws.com", False),
        ("restore", "kms:Decrypt", "alias/of-somebody", f"s3.{REGION}.amazonaws.com", False),
        ("restore", "kms:Decrypt", ALIAS, f"secretsmanager.{REGION}.amazonaws.com", False),
        ("backup", "kms:ScheduleKeyDeletion", ALIAS, f"s3.{REGION}.amazonaws.com", False),
        ("external-secrets", "kms:Decrypt", ALIAS, f"s3.{REGION}.amazonaws.com", False),
    ],
)
def test_the_key_is_used_for_the_bucket_only(
    declared: list[Resource], role: str, action: str, alias: str, service: str, allowed: bool
) -> None:
    context = {"kms:ResourceAliases": [alias], "kms:ViaService": service}
    assert permitted(granted(declared, role), action, KEY, context) == allowed
    assert not permitted(granted(declared, role), action, KEY, {"kms:ResourceAliases": [alias]})


@pytest.mark.parametrize(
    ("change", "allowed"),
    [
        ({}, True),
        ({"s3:TlsVersion": "1.2"}, True),
        ({"s3:TlsVersion": "1.1"}, False),
        ({"aws:SecureTransport": "false"}, False),
        ({"aws:PrincipalAccount": "999999999999"}, False),
        ({"aws:PrincipalAccount": "999999999999", "aws:PrincipalIsAWSService": "false"}, False),
        ({"aws:PrincipalAccount": "999999999999", "aws:PrincipalIsAWSService": "true"}, True),
    ],
)
def test_the_bucket_is_closed_to_other_accounts_and_old_tls_whatever_they_are_allowed(
    declared: list[Resource], change: dict[str, str], allowed: bool
) -> None:
    anything = '{"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
    policy = inputs(declared, "BucketPolicy", "backups", "policy")
    for action, resource in (("s3:GetObject", f"{BUCKET}/x"), ("s3:ListBucket", BUCKET)):
        assert permitted([anything, policy], action, resource, OWN | change) == allowed
        assert not permitted([policy], action, resource, OWN | change)
    anonymous = {key: value for key, value in OWN.items() if key != "aws:PrincipalAccount"}
    assert not permitted([anything, policy], "s3:GetObject", f"{BUCKET}/x", anonymous)


TAG = "aws:RequestTag/kubernetes-"
POD = {
    "aws:SourceAccount": ACCOUNT,
    "aws:SourceArn": CLUSTER,
    f"{TAG}namespace": "mcp-prod",
    f"{TAG}service-account": "backup-redis",
}


@pytest.mark.parametrize(
    ("change", "allowed"),
    [
        ({}, True),
        ({f"{TAG}service-account": "backup-postgres"}, True),
        ({f"{TAG}service-account": "gateway"}, False),
        ({f"{TAG}service-account": "restore-redis"}, False),
        ({f"{TAG}namespace": "mcp-dev"}, False),
        ({"aws:SourceAccount": "999999999999"}, False),
        ({"aws:SourceArn": f"{CLUSTER}-2"}, False),
        ({"aws:SourceArn": CLUSTER.replace(ACCOUNT, "999999999999")}, False),
    ],
)
def test_pods_of_a_roles_service_accounts_take_it_and_no_others(
    declared: list[Resource], change: dict[str, str], allowed: bool
) -> None:
    trust = inputs(declared, "Role", "backup", "assumeRolePolicy")
    assert permitted([trust], "sts:AssumeRole", context=POD | change) == allowed
    assert permitted([trust], "sts:TagSession", context=POD | change) == allowed
    assert not permitted([trust], "sts:AssumeRoleWithWebIdentity", context=POD | change)


def test_each_association_is_of_a_pod_that_its_role_trusts(declared: list[Resource]) -> None:
    associations = [it for it in declared if it.type.endswith(":PodIdentityAssociation")]
    for association in associations:
        role = association.inputs["roleArn"].rpartition("/mcp-platform-prod-")[2]
        tags = POD | {
            f"{TAG}namespace": association.inputs["namespace"],
            f"{TAG}service-account": association.inputs["serviceAccount"],
        }
        trust = inputs(declared, "Role", role, "assumeRolePolicy")
        assert permitted([trust], "sts:AssumeRole", context=tags), association.name
    roles = {it.inputs["roleArn"] for it in associations}
    assert len(roles) == len([it for it in declared if it.type.endswith(":Role")])


def test_irsa_trusts_named_service_accounts_of_one_cluster(tmp_path: Path) -> None:
    changes = {"identity": "irsa", "oidc_issuer": f"https://{ISSUER}"}
    irsa = [it for it in evaluate_prod(tmp_path, aws=changes).resources if it.type.startswith("aws:")]
    assert not [it for it in irsa if it.type.endswith(":PodIdentityAssociation")]
    trust = inputs(irsa, "Role", "restore", "assumeRolePolicy")

    def taken(account: str, audience: str = "sts.amazonaws.com", issuer: str = ISSUER) -> bool:
        claims = {f"{issuer}:aud": audience, f"{issuer}:sub": f"system:serviceaccount:{account}"}
        return permitted([trust], "sts:AssumeRoleWithWebIdentity", context=claims)

    assert taken("mcp-prod:restore-drill")
    assert not taken("mcp-prod:backup-redis")
    assert not taken("mcp-dev:restore-drill")
    assert not taken("mcp-prod:restore-drill", audience="kubernetes")
    assert not taken("mcp-prod:restore-drill", issuer=f"{ISSUER}D")


@pytest.mark.parametrize(
    ("action", "entry", "allowed"),
    [
        ("secretsmanager:GetSecretValue", "mcp-platform/prod/redis-auth", True),
        ("secretsmanager:GetSecretValue", "mcp-platform/production/redis-auth", False),
        ("secretsmanager:GetSecretValue", "mcp-platform/dev/redis-auth", False),
        ("secretsmanager:PutSecretValue", "mcp-platform/prod/redis-auth", False),
        ("secretsmanager:DeleteSecret", "mcp-platform/prod/redis-auth", False),
    ],
)
def test_external_secrets_reads_the_stacks_entries(
    declared: list[Resource], action: str, entry: str, allowed: bool
) -> None:
    arn = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{entry}-AbC123"
    assert permitted(granted(declared, "external-secrets"), action, arn) == allowed


@pytest.mark.parametrize(("entry", "allowed"), [("rds!db-1", True), ("rds!db-12", False), ("rds!db", False)])
def test_external_secrets_reads_an_entry_that_settings_name(entry: str, allowed: bool) -> None:
    statements = grants.read_secrets(Aws(region=REGION, account=ACCOUNT, cluster="c"), SOURCE)
    arn = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{entry}-AbC123"
    assert permitted([document(*statements)], "secretsmanager:GetSecretValue", arn) == allowed


def test_exactly_the_pods_with_a_role_reach_the_agent_that_hands_out_its_credentials(
    graph: Graph, declared: list[Resource]
) -> None:
    objects = [item.body for item in manifests(graph)]
    policies = [item for item in objects if item["kind"] == "NetworkPolicy"]
    pods, agent = declared_pods(objects), Place("agent", "169.254.170.23", [80])
    found = flows(policies, [*pods, agent], {"mcp-prod": {}, "logs-mcp-prod": {}})
    reached = {flow.partition("→")[0] for flow in found if flow.endswith("→agent:80")}
    associations = [it.inputs for it in declared if it.type.endswith(":PodIdentityAssociation")]
    assert reached == {it["serviceAccount"] for it in associations if it["namespace"] == "mcp-prod"}
