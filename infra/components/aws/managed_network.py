"""The network side of a managed store: where it stands, and who may connect."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_aws import ec2, vpc

from infra.settings.aws import Vpc


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreAccessArgs:
    """Who may connect to a store.

    Attributes:
        name: Of the security group.
        vpc: Where the store stands, and its clients' security groups.
        port: Its port.
        kept: Whether the store, and so what it is reached by, outlives the stack.
    """

    name: str
    vpc: Vpc
    port: int
    kept: bool = False


class StoreAccess(pulumi.ComponentResource):
    """A security group that lets the clients' groups in to one port, and nothing out.

    Attributes:
        security_group: Its id.
    """

    security_group: pulumi.Output[str]

    def __init__(self, name: str, args: StoreAccessArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mcp:aws:StoreAccess", name, None, opts)
        child = pulumi.ResourceOptions(parent=self, retain_on_delete=args.kept)
        group = ec2.SecurityGroup(
            name,
            name=args.name,
            description="Clients of a managed store",
            vpc_id=args.vpc.id,
            # Given as empty, AWS's default rule (everything out) is removed.
            egress=[],
            opts=child,
        )
        for number, client in enumerate(args.vpc.clients):
            vpc.SecurityGroupIngressRule(
                f"{name}-{number}",
                security_group_id=group.id,
                referenced_security_group_id=client,
                ip_protocol="tcp",
                from_port=args.port,
                to_port=args.port,
                opts=child,
            )
        self.security_group = group.id
        self.register_outputs({})
