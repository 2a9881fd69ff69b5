"""Names and ARNs in an AWS account. Pure: known before anything is made, so previews show them."""

from __future__ import annotations

from typing import Final

from infra.errors import PlatformError
from infra.naming import PROJECT, Stack
from infra.settings.aws import Aws

_LONGEST: Final = {"bucket": 63, "cache": 40, "database": 63, "role": 64}
"""What AWS allows; a deployment would find out in its middle."""


def name(stack: Stack, part: str = "") -> str:
    """`mcp-platform-prod` or `mcp-platform-prod-PART`."""
    return "-".join(filter(None, (PROJECT, stack.name, part)))


def bucket(stack: Stack, aws: Aws) -> str:
    """The backups' bucket; bucket names are one space for all accounts."""
    return _allowed(stack, "bucket", f"{name(stack, 'backups')}-{aws.account}-{aws.region}")


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


def database(stack: Stack) -> str:
    """The managed Postgres."""
    return _identifier(stack, "database", name(stack, "postgres"))


def cache(stack: Stack) -> str:
    """The managed Redis."""
    return _identifier(stack, "cache", name(stack, "redis"))


def role(stack: Stack, service: str) -> str:
    """The role of one service."""
    return _allowed(stack, "role", name(stack, service))


def role_arn(stack: Stack, aws: Aws, service: str) -> str:
    """The same as an ARN."""
    return f"arn:aws:iam::{aws.account}:role/{role(stack, service)}"


def cluster_arn(aws: Aws) -> str:
    """The EKS cluster."""
    return f"arn:aws:eks:{aws.region}:{aws.account}:cluster/{aws.cluster}"


def secret_arn(aws: Aws, entry: str) -> str:
    """An entry of Secrets Manager, or a pattern of entries: AWS adds six random characters to each name."""
    return f"arn:aws:secretsmanager:{aws.region}:{aws.account}:secret:{entry}"


def _allowed(stack: Stack, what: str, wanted: str) -> str:
    """A name that AWS takes.

    Raises:
        PlatformError: It is too long, because the stack's name is.
    """
    if (over := len(wanted) - _LONGEST[what]) > 0:
        raise PlatformError(
            f"stack {stack.name}: its {what} would be {wanted}, longer than the {_LONGEST[what]} characters "
            "that AWS allows",
            hint=f"Choose a stack name of at most {len(stack.name) - over} characters.",
        )
    return wanted


def _identifier(stack: Stack, what: str, wanted: str) -> str:
    """As above, for what may have no two hyphens in a row.

    Raises:
        PlatformError: The stack's name has.
    """
    if "--" in wanted:
        raise PlatformError(
            f"stack {stack.name}: its {what} would be {wanted}, and AWS allows no two hyphens in a row",
            hint="Choose another stack name.",
        )
    return _allowed(stack, what, wanted)
