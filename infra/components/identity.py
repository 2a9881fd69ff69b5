"""Who a service is to the Kubernetes API, and what it may do there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
from pulumi_kubernetes.core.v1 import ServiceAccount
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.rbac.v1 import PolicyRuleArgs, Role, RoleBinding, RoleRefArgs, SubjectArgs

from infra.labels import Component, labels
from infra.naming import Stack


@dataclass(frozen=True, kw_only=True, slots=True)
class IdentityArgs:
    """A service's account.

    Attributes:
        stack: The stack.
        component: What part the service plays.
        rules: What it may do in its own namespace; nothing unless listed.
        annotations: Of the account, for whoever gives it an identity outside the cluster.
    """

    stack: Stack
    component: Component
    rules: Sequence[PolicyRuleArgs] = ()
    annotations: Mapping[str, str] = field(default_factory=dict[str, str])


class Identity(pulumi.ComponentResource):
    """A ServiceAccount of one service alone; with rules, a Role and the RoleBinding that joins them."""

    service_account: str

    def __init__(self, name: str, args: IdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mcp:security:Identity", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        def metadata(annotations: Mapping[str, str] | None = None) -> ObjectMetaArgs:
            return ObjectMetaArgs(
                name=name,
                namespace=args.stack.namespace,
                labels=labels(args.stack, name, args.component),
                annotations=annotations or None,
            )

        ServiceAccount(
            name, metadata=metadata(args.annotations), automount_service_account_token=False, opts=child
        )
        self.service_account = name
        if args.rules:
            Role(name, metadata=metadata(), rules=list(args.rules), opts=child)
            RoleBinding(
                name,
                metadata=metadata(),
                role_ref=RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="Role", name=name),
                subjects=[SubjectArgs(kind="ServiceAccount", name=name, namespace=args.stack.namespace)],
                opts=child,
            )
        self.register_outputs({"serviceAccount": name})
