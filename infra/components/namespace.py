"""The stack's namespace: who may run in it, and how much of the cluster it can take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
from pulumi_kubernetes.core import v1
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.labels import labels
from infra.naming import PROJECT, Stack
from infra.settings.groups import Quota
from infra.settings.workloads import Limits, Requests
from infra.versions import POD_SECURITY


@dataclass(frozen=True, kw_only=True, slots=True)
class NamespaceArgs:
    """The namespace of a stack.

    Attributes:
        stack: The stack.
        quota: The most that all its pods may request together.
        labels: Beside the usual ones.
    """

    stack: Stack
    quota: Quota
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


def pod_security_labels() -> dict[str, str]:
    """Enforce Pod Security "restricted" as one release defines it, so a cluster's upgrade can't change it."""
    modes = ("enforce", "audit", "warn")
    return {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in modes} | {
        f"pod-security.kubernetes.io/{mode}-version": POD_SECURITY for mode in modes
    }


def build_quota(quota: Quota) -> v1.ResourceQuotaSpecArgs:
    """A ceiling against runaways: higher than what the stack needs at its busiest."""
    return v1.ResourceQuotaSpecArgs(
        hard={
            "pods": str(quota.pods),
            "requests.cpu": quota.cpu,
            "requests.memory": quota.memory,
            "requests.storage": quota.storage,
        }
    )


def build_limit_range() -> v1.LimitRangeSpecArgs:
    """What a container gets that says nothing, so that the quota can count it."""

    def amounts(of: Requests | Limits) -> dict[str, pulumi.Input[str]]:
        return {"cpu": of.cpu, "memory": of.memory, "ephemeral-storage": of.ephemeral_storage}

    return v1.LimitRangeSpecArgs(
        limits=[
            v1.LimitRangeItemArgs(
                type="Container", default_request=amounts(Requests()), default=amounts(Limits())
            )
        ]
    )


class Namespace(pulumi.ComponentResource):
    """The one namespace of a stack."""

    def __init__(self, name: str, args: NamespaceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mcp:platform:Namespace", name, None, opts)
        own = labels(args.stack, PROJECT, "platform")
        namespace = args.stack.namespace
        production = args.stack.production
        created = v1.Namespace(
            namespace,
            metadata=ObjectMetaArgs(name=namespace, labels={**own, **pod_security_labels(), **args.labels}),
            opts=pulumi.ResourceOptions(parent=self, protect=production, retain_on_delete=production),
        )
        inside = pulumi.ResourceOptions(parent=self, depends_on=[created])

        def metadata() -> ObjectMetaArgs:
            return ObjectMetaArgs(name=PROJECT, namespace=namespace, labels=own)

        v1.ResourceQuota(PROJECT, metadata=metadata(), spec=build_quota(args.quota), opts=inside)
        v1.LimitRange(PROJECT, metadata=metadata(), spec=build_limit_range(), opts=inside)
        self.register_outputs({"namespace": namespace})
