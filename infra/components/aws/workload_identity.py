"""The AWS role of a service, or of several that do the same: no keys, and only what its service needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import eks, iam

from infra.components.aws import naming
from infra.components.aws.documents import Statement, document, pod_identity_trust, web_identity_trust
from infra.naming import Stack
from infra.settings.aws import Aws

SESSION_SECONDS = 3600


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkloadIdentityArgs:
    """A role, and who takes it.

    Attributes:
        stack: The stack.
        aws: The account and cluster.
        namespace: Where the service accounts are.
        service_accounts: Their names.
        statements: What the role may do; its resources are named, not `*`.
    """

    stack: Stack
    aws: Aws
    namespace: str
    service_accounts: Sequence[str]
    statements: Sequence[Statement]


def build_trust(args: WorkloadIdentityArgs) -> str:
    """Who may take the role: these service accounts of the one cluster."""
    aws = args.aws
    if aws.oidc_issuer is None:
        cluster = naming.cluster_arn(aws)
        return pod_identity_trust(aws.account, cluster, args.namespace, args.service_accounts)
    return web_identity_trust(aws.account, aws.oidc_issuer, args.namespace, args.service_accounts)


class WorkloadIdentity(pulumi.ComponentResource):
    """A role of some service accounts.

    Attributes:
        role_arn: Known before the role is made. With IRSA, the service account carries it as an annotation.
    """

    role_arn: str

    def __init__(
        self, name: str, args: WorkloadIdentityArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("mcp:aws:WorkloadIdentity", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.role_arn = naming.role_arn(args.stack, args.aws, name)
        role = iam.Role(
            name,
            name=naming.role(args.stack, name),
            assume_role_policy=build_trust(args),
            max_session_duration=SESSION_SECONDS,
            opts=child,
        )
        iam.RolePolicy(
            name,
            name=name,
            role=role.name,
            policy=document(*args.statements),
            opts=child,
        )
        if args.aws.identity == "pod-identity":
            for account in args.service_accounts:
                eks.PodIdentityAssociation(
                    account,
                    cluster_name=args.aws.cluster,
                    namespace=args.namespace,
                    service_account=account,
                    role_arn=self.role_arn,
                    opts=pulumi.ResourceOptions(parent=self, depends_on=[role]),
                )
        self.register_outputs({"roleArn": self.role_arn})
