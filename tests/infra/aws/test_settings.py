"""What the AWS account's settings refuse."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from infra.components.aws import grants, naming
from infra.components.aws.documents import document
from infra.errors import PlatformError
from infra.naming import Stack
from infra.settings import Settings
from infra.settings.aws import Aws
from tests.infra.aws.conftest import SOURCE
from tests.infra.variants import VPC

GOOD: dict[str, Any] = {
    "region": "eu-central-1",
    "account": "123456789012",
    "cluster": "c",
    "repositories": False,
}
IRSA = {"identity": "irsa"}
OIDC = "https://oidc.eks"
PROD = Stack("prod", production=True)


@pytest.mark.parametrize(
    ("changes", "key", "allowed"),
    [
        ({"region": "Frankfurt"}, "aws.region", "a region such as"),
        ({"region": "eu-centrall-1"}, "aws.region", "a region such as"),
        ({"region": "eu-central-1a"}, "aws.region", "a region such as"),
        ({"region": "cn-north-1"}, "aws.region", "China's"),
        ({"region": "us-gov-west-1"}, "aws.region", "governments'"),
        ({"region": "eu-isoe-west-1"}, "aws.region", "a region such as"),
        ({"account": "12"}, "aws.account", "twelve digits"),
        ({"account": 12345678901}, "aws.account", "quote it"),
        ({"account": "1234-5678-9012"}, "aws.account", "twelve digits"),
        ({"account": "\N{ARABIC-INDIC DIGIT ONE}" * 12}, "aws.account", "twelve digits"),
        ({"cluster": "arn:aws:eks:eu-central-1:123456789012:cluster/c"}, "aws.cluster", "no ARN"),
        ({"cluster": "my cluster"}, "aws.cluster", "name of an EKS cluster"),
        ({"backups": {"archive_days": 35}}, "aws.backups.archive_days", "less than retention_days"),
        ({"backups": {"log_bucket": "My_Bucket"}}, "aws.backups.log_bucket", "a bucket's name"),
        ({"backups": {"log_bucket": "arn:aws:s3:::logs"}}, "aws.backups.log_bucket", "a bucket's name"),
        ({"backups": {"retention_days": 10, "lock_days": 11}}, "aws.backups.lock_days", "retention_days"),
        ({"identity": "irsa"}, "aws.oidc_issuer", "where identity is irsa"),
        ({"oidc_issuer": "https://oidc.example.com/id"}, "aws.oidc_issuer", "only there"),
        ({**IRSA, "oidc_issuer": f"{OIDC}.eu-central-1.amazonaws.com/id/A/"}, "aws.oidc_issuer", "slash"),
        ({**IRSA, "oidc_issuer": f"{OIDC}.eu-central-1.amazonaws.com"}, "aws.oidc_issuer", "as EKS tells it"),
        ({**IRSA, "oidc_issuer": f"{OIDC}.us-east-1.amazonaws.com/id/A"}, "aws.oidc_issuer", "eu-central-1"),
        ({"database": {}}, "aws.vpc", "where the managed stores"),
        ({"vpc": {**VPC, "subnets": ["subnet-0a1b2c3d"]}}, "aws.vpc.subnets", "at least 2 items"),
        ({"vpc": {**VPC, "id": "vpc-0a"}}, "aws.vpc.id", "8 or 17 hexadecimal"),
        ({"vpc": {**VPC, "subnets": VPC["subnets"][:1] * 2}}, "aws.vpc.subnets", "differ"),
        ({"vpc": {**VPC, "clients": VPC["clients"] * 2}}, "aws.vpc.clients", "differ"),
        ({"vpc": VPC, "database": {"backup_days": 0}}, "aws.database.backup_days", "at least 1"),
        ({"vpc": VPC, "database": {"version": 17}}, "aws.database.version", "'17'"),
        ({"vpc": VPC, "cache": {"node_type": "cache.m7g.larg"}}, "aws.cache.node_type", "cache.m7g.large"),
        ({"vpc": VPC, "cache": {"replicas": 0}}, "aws.cache.replicas", "at least 1"),
        ({"vpc": VPC, "database": {"instance_class": "db.m7g.larg"}}, "instance_class", "db.m7g.large"),
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


def test_a_context_that_is_another_clusters_arn_is_refused(configure: Callable[..., Settings]) -> None:
    images = {"registry": "registry.example/x", "push": True}
    arn = "arn:aws:eks:eu-central-1:123456789012:cluster/c"
    for context in (arn, "an-alias"):
        assert configure(aws=GOOD, images=images, cluster={"context": context}).cluster.context == context
    for other in ("us-east-1:123456789012:cluster/c", "eu-central-1:999999999999:cluster/c", "x"):
        with pytest.raises(PlatformError, match=f"cluster.context = .*must be {arn}"):
            configure(aws=GOOD, images=images, cluster={"context": f"arn:aws:eks:{other}"})


@pytest.mark.parametrize(
    ("most", "named"),
    [
        (16, partial(naming.bucket, aws=Aws.model_validate(GOOD))),
        (34, partial(naming.role, service="external-secrets")),
        (21, naming.cache),
        (41, naming.database),
    ],
)
def test_a_stack_whose_names_aws_would_not_take_is_refused_before_anything_is_made(
    most: int, named: Callable[[Stack], str]
) -> None:
    assert named(Stack("a" * most, production=True))
    with pytest.raises(PlatformError, match="longer than the") as caught:
        named(Stack("a" * (most + 1), production=True))
    assert f"at most {most} characters" in caught.value.hint


@pytest.mark.parametrize("named", [naming.cache, naming.database])
def test_two_hyphens_are_refused_where_aws_refuses_them(named: Callable[[Stack], str]) -> None:
    with pytest.raises(PlatformError, match="no two hyphens"):
        named(Stack("eu--1", production=True))


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


def test_documents_say_nothing_that_was_not_asked_for() -> None:
    (statement,) = grants.read_secrets(Aws.model_validate(GOOD), SOURCE)
    assert "Principal" not in document(statement)
    assert "Condition" not in document(statement)
