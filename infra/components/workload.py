"""A stateless service: its identity, Deployment, Service, disruption budget and autoscaler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import pulumi
from pulumi_kubernetes.apps.v1 import (
    Deployment,
    DeploymentSpecArgs,
    DeploymentStrategyArgs,
    RollingUpdateDeploymentArgs,
)
from pulumi_kubernetes.core import v1
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget, PodDisruptionBudgetSpecArgs
from pulumi_kubernetes.rbac.v1 import PolicyRuleArgs

from infra.components.autoscaling import Autoscaling, AutoscalingArgs
from infra.components.identity import Identity, IdentityArgs
from infra.components.mounts import Mount, scratch
from infra.components.pods import Container, Pod, build_pod, spread
from infra.components.probes import port_probes, service_probes
from infra.labels import Component, labels, selector
from infra.naming import Stack
from infra.settings.workloads import Resources, Scaled, SecretKey
from services.kit.conventions import MCP_PORT, MCP_PORT_NAME, OPS_PORT, OPS_PORT_NAME

REVISIONS_KEPT: Final = 10
PROGRESS_SECONDS: Final = 300
MIN_READY_SECONDS: Final = 5

_TEMPORARY_SIZE: Final = "64Mi"


@dataclass(frozen=True, kw_only=True, slots=True)
class Exposure:
    """How a service is reached.

    Attributes:
        kind: Kubernetes' Service type.
        node_port: The port on every node, for NodePort.
        source_ranges: Networks that a load balancer lets in.
        labels: Beside the usual ones.
        annotations: For whoever makes the load balancer.
    """

    kind: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    node_port: int | None = None
    source_ranges: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    annotations: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkloadArgs:
    """A service that serves MCP or HTTP on the port that all services have.

    Attributes:
        stack: The stack.
        component: What part the service plays.
        image: Image reference.
        health: How it tells that it is well: by the kit's health port, or only by its port being open.
        args: Arguments of the image's entry point.
        scale: Replicas, autoscaling, disruption budget.
        resources: Requests and limits.
        env: Plain environment variables.
        secret_env: Environment variables from Secrets.
        mounts: Volumes; a scratch folder at /tmp comes along.
        init: Containers that run before the service's own, one after the other.
        rules: What the service may do in the Kubernetes API.
        exposure: How the service is reached.
        one_at_a_time: Whether an old pod must be gone before its successor starts (an unshared volume).
        config_hash: Changes with the configuration files.
    """

    stack: Stack
    component: Component
    image: pulumi.Input[str]
    health: Literal["kit", "port"] = "kit"
    args: Sequence[str] = ()
    scale: Scaled
    resources: Resources
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    secret_env: Mapping[str, SecretKey] = field(default_factory=dict[str, SecretKey])
    mounts: Sequence[Mount] = ()
    init: Sequence[Container] = ()
    rules: Sequence[PolicyRuleArgs] = ()
    exposure: Exposure = field(default_factory=Exposure)
    one_at_a_time: bool = False
    config_hash: str = ""


def build_service_container(name: str, args: WorkloadArgs) -> Container:
    """The service's own container."""
    return Container(
        name=name,
        image=args.image,
        args=args.args,
        ports={MCP_PORT_NAME: MCP_PORT, **({OPS_PORT_NAME: OPS_PORT} if args.health == "kit" else {})},
        env=args.env,
        secret_env=args.secret_env,
        resources=args.resources,
        probes=service_probes() if args.health == "kit" else port_probes(MCP_PORT_NAME),
        mounts=[scratch("tmp", "/tmp", _TEMPORARY_SIZE), *args.mounts],  # noqa: S108 - the pod's own
    )


def build_deployment(name: str, args: WorkloadArgs) -> DeploymentSpecArgs:
    """Replicas that are replaced one by one, the new before the old, and never two revisions too few."""
    pod = Pod(
        stack=args.stack,
        name=name,
        component=args.component,
        containers=[build_service_container(name, args)],
        init=args.init,
        service_account=name,
        spread=spread(args.stack, name),
        config_hash=args.config_hash,
    )
    return DeploymentSpecArgs(
        replicas=None if args.scale.autoscaling else args.scale.least,
        revision_history_limit=REVISIONS_KEPT,
        progress_deadline_seconds=PROGRESS_SECONDS,
        min_ready_seconds=MIN_READY_SECONDS,
        selector=LabelSelectorArgs(match_labels=selector(args.stack, name)),
        strategy=build_strategy(one_at_a_time=args.one_at_a_time),
        template=build_pod(pod),
    )


def build_strategy(*, one_at_a_time: bool) -> DeploymentStrategyArgs:
    """New pods first, without a gap in service; or, where two can't be at once, the old pod first."""
    if one_at_a_time:
        return DeploymentStrategyArgs(type="Recreate")
    return DeploymentStrategyArgs(
        type="RollingUpdate", rolling_update=RollingUpdateDeploymentArgs(max_unavailable=0, max_surge=1)
    )


def build_service(name: str, args: WorkloadArgs) -> v1.ServiceSpecArgs:
    """The service's protocol port; health and metrics stay inside."""
    exposure = args.exposure
    return v1.ServiceSpecArgs(
        type=exposure.kind,
        selector=selector(args.stack, name),
        load_balancer_source_ranges=list(exposure.source_ranges) or None,
        ports=[
            v1.ServicePortArgs(
                name=MCP_PORT_NAME,
                port=MCP_PORT,
                target_port=MCP_PORT_NAME,
                protocol="TCP",
                app_protocol="http",
                node_port=exposure.node_port,
            )
        ],
    )


def build_disruption_budget(stack: Stack, name: str) -> PodDisruptionBudgetSpecArgs:
    """Drains take one pod at a time; pods that are broken anyway never block them."""
    return PodDisruptionBudgetSpecArgs(
        max_unavailable=1,
        unhealthy_pod_eviction_policy="AlwaysAllow",
        selector=LabelSelectorArgs(match_labels=selector(stack, name)),
    )


class Workload(pulumi.ComponentResource):
    """One stateless service under one name."""

    name: str

    def __init__(self, name: str, args: WorkloadArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mcp:service:Workload", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.name = name

        def metadata(exposure: Exposure | None = None) -> ObjectMetaArgs:
            extra = exposure or Exposure()
            return ObjectMetaArgs(
                name=name,
                namespace=args.stack.namespace,
                labels={**labels(args.stack, name, args.component), **extra.labels},
                annotations=dict(extra.annotations) or None,
            )

        Identity(name, IdentityArgs(stack=args.stack, component=args.component, rules=args.rules), opts=child)
        Deployment(name, metadata=metadata(), spec=build_deployment(name, args), opts=child)
        v1.Service(name, metadata=metadata(args.exposure), spec=build_service(name, args), opts=child)
        if args.scale.budgeted:
            PodDisruptionBudget(
                name, metadata=metadata(), spec=build_disruption_budget(args.stack, name), opts=child
            )
        if args.scale.autoscaling:
            scaling = AutoscalingArgs(
                stack=args.stack, component=args.component, scaling=args.scale.autoscaling
            )
            Autoscaling(name, scaling, opts=child)
        self.register_outputs({"service": name})
