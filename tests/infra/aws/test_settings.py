"""What the AWS account's settings refuse."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

import pytest

from infra.components.aws import grants, naming
from infra.components.aws.documents import document, web_identity_trust
from infra.errors import PlatformError
from infra.naming import Stack
from infra.secret_source import SecretSource
from infra.settings import Settings
from infra.settings.aws import Aws

GOOD: dict[str, Any] = {
    "region": "eu-central-1",
    "account": "123456789012",
    "cluster": "c",
    "repositories": False,
}
VPC = {"id": "vpc-0a", "subnets": ["subnet-0a", "subnet-0b"], "clients": ["sg-0a"]}
PROD = Stack("prod", production=True)


@pytest.mark.parametrize(
    ("changes", "key", "allowed"),
    [
        ({"region": "Frankfurt"}, "aws.region", "a region such as"),
        ({"account": "12"}, "aws.account", "twelve digits"),
        ({"backups": {"retention_days": 10, "lock_days": 11}}, "aws.backups.lock_days", "retention_days"),
        ({"identity": "irsa"}, "aws.oidc_issuer", "where identity is irsa"),
        ({"oidc_issuer": "https://oidc.example.com/id"}, "aws.oidc_issuer", "only there"),
        ({"database": {}}, "aws.vpc", "where the managed stores"),
        ({"vpc": {**VPC, "subnets": ["subnet-0a"]}}, "aws.vpc.subnets", "at least 2 items"),
        (
            {"vpc": VPC, "database": {"instance_class": "large"}},
            "aws.database.instance_class",
            "db.m7g.large",
        ),
        ({"vpc": VPC, "database": {"storage_gib": 600}}, "aws.database.max_storage_gib", "storage_gib"),
        ({"vpc": VPC, "cache": {"version": "6"}}, "aws.cache.version", "7.2"),
        ({"repositories": True}, "images.registry", "123456789012.dkr.ecr.eu-central-1.amazonaws.com/"),
        ({"regoin": "x"}, "aws.regoin", "region"),
    ],
)
def test_what_is_wrong_is_one_line_with_the_key_and_what_is_allowed(
    configure: Callable[..., Settings], changes: dict[str, Any], key: str, allowed: str
) -> None:
    with pytest.raises(PlatformError) as caught:
        configure(aws={**GOOD, **changes})
    (line,) = [line for line in str(caught.value).splitlines() if key in line]
    assert line.startswith("stack dev: ")
    assert allowed in line


SOURCE = SecretSource(
    kind="SecretStore",
    name="secrets-manager",
    prefix="mcp-platform/prod/",
    refresh_minutes=60,
    entries={"database-owner": "rds!db-1"},
)


def test_good_settings_are_read(configure: Callable[..., Settings]) -> None:
    settings = configure(aws={**GOOD, "vpc": VPC, "database": {}, "cache": {}})
    assert settings.aws is not None
    assert settings.aws.backups.lock_days == 30


def test_roles_can_name_every_resource_that_they_use() -> None:
    aws = Aws.model_validate(GOOD)
    statements = [
        *grants.write_backups(PROD, aws),
        *grants.read_backups(PROD, aws),
        *grants.read_secrets(aws, SOURCE),
    ]
    for statement in statements:
        assert all("*" not in action for action in statement.actions)
        assert "*" not in statement.resources
        if any(resource.endswith(":key/*") for resource in statement.resources):
            alias = naming.key_alias(naming.bucket(PROD, aws))
            assert statement.conditions["ForAnyValue:StringEquals"] == {"kms:ResourceAliases": alias}


def test_irsa_trusts_named_service_accounts_of_one_cluster() -> None:
    trust = web_identity_trust("123456789012", "https://oidc.example.com/id/A", "mcp-prod", ["one", "two"])
    both = '["system:serviceaccount:mcp-prod:one", "system:serviceaccount:mcp-prod:two"]'
    assert f'"oidc.example.com/id/A:sub": {both}' in trust
    assert '"oidc.example.com/id/A:aud": "sts.amazonaws.com"' in trust


def test_documents_say_nothing_that_was_not_asked_for() -> None:
    (statement,) = grants.read_secrets(Aws.model_validate(GOOD), SOURCE)
    assert "Principal" not in document(statement)
    assert "Condition" not in document(statement)


@pytest.mark.parametrize(
    ("entry", "readable"),
    [
        ("mcp-platform/prod/redis-auth", True),
        ("mcp-platform/production/redis-auth", False),
        ("mcp-platform/dev/redis-auth", False),
        ("mcp-platform/prod", False),
        ("rds!db-1", True),
        ("rds!db-12", False),
    ],
)
def test_only_a_stacks_own_and_named_entries_can_be_read(entry: str, readable: bool) -> None:
    (statement,) = grants.read_secrets(Aws.model_validate(GOOD), SOURCE)
    arn = f"arn:aws:secretsmanager:{GOOD['region']}:{GOOD['account']}:secret:{entry}-AbC123"
    assert any(fnmatchcase(arn, resource) for resource in statement.resources) == readable
