"""IAM policy documents. Pure: the same arguments give the same JSON.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

VERSION = "2012-10-17"


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """One statement.

    Attributes:
        sid: What it is for; letters and digits.
        effect: Allow or Deny.
        actions: API actions; never `*` alone.
        resources: ARNs; none in a trust policy.
        principal: Who, in a policy of a resource or of trust.
        conditions: Operator → key → value, or values of which one must be it.
    """

    sid: str
    effect: Literal["Allow", "Deny"] = "Allow"
    actions: Sequence[str]
    resources: Sequence[str] = ()
    principal: Mapping[str, str] | Literal["*"] | None = None
    conditions: Mapping[str, Mapping[str, str | Sequence[str]]] = field(
        default_factory=dict[str, Mapping[str, str | Sequence[str]]]
    )


def document(*statements: Statement) -> str:
    """The policy as JSON."""
    return json.dumps({"Version": VERSION, "Statement": [_plain(it) for it in statements]})


def _plain(statement: Statement) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "Sid": statement.sid,
        "Effect": statement.effect,
        "Principal": statement.principal,
        "Action": list(statement.actions),
        "Resource": list(statement.resources),
        "Condition": dict(statement.conditions),
    }
    return {key: value for key, value in plain.items() if value}


def pod_identity_trust(
    account: str, cluster_arn: str, namespace: str, service_accounts: Sequence[str]
) -> str:
    """Some service accounts of one EKS cluster may take the role, whatever other associations say.

    EKS tells STS whose pod it is by session tags: https://docs.aws.amazon.com/eks/latest/userguide/pod-id-role.html
    """
    return document(
        Statement(
            sid="PodIdentity",
            actions=["sts:AssumeRole", "sts:TagSession"],
            principal={"Service": "pods.eks.amazonaws.com"},
            conditions={
                "StringEquals": {
                    "aws:SourceAccount": account,
                    "aws:RequestTag/kubernetes-namespace": namespace,
                    "aws:RequestTag/kubernetes-service-account": list(service_accounts),
                },
                "ArnEquals": {"aws:SourceArn": cluster_arn},
            },
        )
    )


def web_identity_trust(account: str, issuer: str, namespace: str, service_accounts: Sequence[str]) -> str:
    """Some service accounts of the cluster with this OIDC issuer may take the role (IRSA).

    https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html
    """
    provider = issuer.removeprefix("https://")
    return document(
        Statement(
            sid="WebIdentity",
            actions=["sts:AssumeRoleWithWebIdentity"],
            principal={"Federated": f"arn:aws:iam::{account}:oidc-provider/{provider}"},
            conditions={
                "StringEquals": {
                    f"{provider}:aud": "sts.amazonaws.com",
                    f"{provider}:sub": [
                        f"system:serviceaccount:{namespace}:{name}" for name in service_accounts
                    ],
                }
            },
        )
    )


def tls_only(bucket_arn: str) -> Statement:
    """Nobody reaches a bucket without TLS."""
    return Statement(
        sid="TlsOnly",
        effect="Deny",
        principal="*",
        actions=["s3:*"],
        resources=[bucket_arn, f"{bucket_arn}/*"],
        conditions={"Bool": {"aws:SecureTransport": "false"}},
    )


def modern_tls_only(bucket_arn: str) -> Statement:
    """Nor with a version of TLS before 1.2."""
    return Statement(
        sid="ModernTlsOnly",
        effect="Deny",
        principal="*",
        actions=["s3:*"],
        resources=[bucket_arn, f"{bucket_arn}/*"],
        conditions={"NumericLessThan": {"s3:TlsVersion": "1.2"}},
    )


def own_account_only(bucket_arn: str, account: str) -> Statement:
    """Whatever another policy says, only principals of the account reach the bucket."""
    return Statement(
        sid="OwnAccountOnly",
        effect="Deny",
        principal="*",
        actions=["s3:*"],
        resources=[bucket_arn, f"{bucket_arn}/*"],
        conditions={
            "StringNotEquals": {"aws:PrincipalAccount": account},
            "BoolIfExists": {"aws:PrincipalIsAWSService": "false"},
        },
    )
