"""Names and ARNs in an AWS account. Pure: known before anything is made, so previews show them."""

from __future__ import annotations

from infra.naming import PROJECT, Stack
from infra.settings.aws import Aws


def name(stack: Stack, part: str = "") -> str:
    """`mcp-platform-prod` or `mcp-platform-prod-PART`."""
    return "-".join(filter(None, (PROJECT, stack.name, part)))


def bucket(stack: Stack, aws: Aws) -> str:
    """The backups' bucket; bucket names are one space for all accounts."""
    return f"{name(stack, 'backups')}-{aws.account}-{aws.region}"


def bucket_arn(bucket_name: str) -> str:
    """A bucket's ARN."""
    return f"arn:aws:s3:::{bucket_name}"


def key_alias(bucket_name: str) -> str:
    """The alias of the key that a bucket's objects are encrypted with; the key's own id is random."""
    return f"alias/{bucket_name}"


def key_alias_arn(aws: Aws, bucket_name: str) -> str:
    """The same as an ARN, which names the key without its id."""
    return f"arn:aws:kms:{aws.region}:{aws.account}:{key_alias(bucket_name)}"


def keys_arn(aws: Aws) -> str:
    """Every key of the account, for statements that pick one by its alias."""
    return f"arn:aws:kms:{aws.region}:{aws.account}:key/*"


def role_arn(stack: Stack, aws: Aws, service: str) -> str:
    """The role of one service."""
    return f"arn:aws:iam::{aws.account}:role/{name(stack, service)}"


def cluster_arn(aws: Aws) -> str:
    """The EKS cluster."""
    return f"arn:aws:eks:{aws.region}:{aws.account}:cluster/{aws.cluster}"


def secret_arn(aws: Aws, entry: str) -> str:
    """An entry of Secrets Manager, or a pattern of entries: AWS adds six random characters to each name."""
    return f"arn:aws:secretsmanager:{aws.region}:{aws.account}:secret:{entry}"
