"""Containers and pods as all workloads have them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import pulumi
from pulumi_kubernetes.core import v1
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from infra.components.mounts import Mount
from infra.components.priority import priority_class
from infra.components.probes import NO_PROBES, Probes
from infra.components.security import container_security_context, pod_security_context
from infra.labels import CONFIG_HASH, Component, labels, selector
from infra.naming import Stack
from infra.settings.workloads import Resources, SecretKey
from services.kit.conventions import DRAIN_SECONDS

PRE_STOP_SECONDS: Final = 5
"""A terminating pod serves on until every proxy has heard that it leaves; only then does it get SIGTERM."""

GRACE_SECONDS: Final = PRE_STOP_SECONDS + DRAIN_SECONDS + 5
"""A service's time from the start of termination to SIGKILL: pause, drain, and closing what is open."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Container:
    """One container.

    Attributes:
        name: Its name in the pod.
        image: Image reference; an Output where the image is built by this program.
        command: Instead of the image's entry point; empty to keep that.
        args: Arguments of the entry point.
        ports: Port numbers by name.
        env: Plain environment variables.
        secret_env: Environment variables from keys of Secrets.
        field_env: Environment variables from fields of the pod.
        resources: Requests and limits.
        probes: Startup, readiness and liveness; an init container has none.
        mounts: Volumes it sees.
        pause_before_stop: Whether clients come through a Service, so that stopping must wait for its proxies.
        sidecar: Whether an init container goes on beside those that follow, once its startup probe succeeds.
    """

    name: str
    image: pulumi.Input[str]
    command: Sequence[str] = ()
    args: Sequence[str] = ()
    ports: Mapping[str, int]
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    secret_env: Mapping[str, SecretKey] = field(default_factory=dict[str, SecretKey])
    field_env: Mapping[str, str] = field(default_factory=dict[str, str])
    resources: Resources
    probes: Probes = NO_PROBES
    mounts: Sequence[Mount] = ()
    pause_before_stop: bool = True
    sidecar: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Pod:
    """One pod.

    Attributes:
        stack: The stack it belongs to.
        name: The service's name, which its labels carry.
        component: What part the service plays.
        containers: The service's own container first, then its sidecars.
        init: What runs before them, one after the other.
        service_account: Name of the service's own account.
        spread: Constraints on where replicas run.
        affinity: Beside which other pods they run, or don't.
        config_hash: Changes with the configuration files, and so rolls the pods; "" without any.
        grace_seconds: From the start of termination to SIGKILL.
        groups: Ids of groups that its processes are in beside their own.
        priority_class: The cluster's name for how urgent it is; that of its component when left out.
        ends: Whether the pod's work is done at some time, and then it isn't started again.
    """

    stack: Stack
    name: str
    component: Component
    containers: Sequence[Container]
    init: Sequence[Container] = ()
    service_account: str
    spread: Sequence[v1.TopologySpreadConstraintArgs] = ()
    affinity: v1.AffinityArgs | None = None
    config_hash: str = ""
    grace_seconds: int = GRACE_SECONDS
    groups: Sequence[int] = ()
    priority_class: str | None = None
    ends: bool = False


def build_pod(pod: Pod) -> v1.PodTemplateSpecArgs:
    """The template that a Deployment or StatefulSet makes its pods from."""
    mounts = [mount for item in (*pod.init, *pod.containers) for mount in item.mounts]
    volumes = {str(mount.at.name): mount.volume for mount in mounts if mount.volume is not None}
    return v1.PodTemplateSpecArgs(
        metadata=ObjectMetaArgs(
            labels=labels(pod.stack, pod.name, pod.component),
            annotations={CONFIG_HASH: pod.config_hash} if pod.config_hash else None,
        ),
        spec=v1.PodSpecArgs(
            service_account_name=pod.service_account,
            automount_service_account_token=False,
            enable_service_links=False,
            security_context=pod_security_context(pod.groups),
            priority_class_name=pod.priority_class or priority_class(pod.stack, pod.component),
            termination_grace_period_seconds=pod.grace_seconds,
            restart_policy="Never" if pod.ends else None,
            topology_spread_constraints=list(pod.spread) or None,
            affinity=pod.affinity,
            init_containers=[build_container(item) for item in pod.init] or None,
            containers=[build_container(item) for item in pod.containers],
            volumes=[volumes[name] for name in sorted(volumes)] or None,
        ),
    )


def build_container(container: Container) -> v1.ContainerArgs:
    """One container of a pod."""
    pause = v1.LifecycleHandlerArgs(sleep=v1.SleepActionArgs(seconds=PRE_STOP_SECONDS))
    return v1.ContainerArgs(
        name=container.name,
        image=container.image,
        image_pull_policy="IfNotPresent",
        command=list(container.command) or None,
        args=list(container.args) or None,
        env=_environment(container) or None,
        ports=[v1.ContainerPortArgs(name=name, container_port=port) for name, port in container.ports.items()]
        or None,
        resources=build_resources(container.resources),
        startup_probe=container.probes.startup,
        readiness_probe=container.probes.readiness,
        liveness_probe=container.probes.liveness,
        lifecycle=v1.LifecycleArgs(pre_stop=pause) if container.pause_before_stop else None,
        restart_policy="Always" if container.sidecar else None,
        security_context=container_security_context(),
        volume_mounts=[mount.at for mount in container.mounts] or None,
    )


def build_resources(resources: Resources) -> v1.ResourceRequirementsArgs:
    """Requests and limits in Kubernetes' words."""

    def amounts(cpu: str, memory: str, ephemeral_storage: str) -> dict[str, pulumi.Input[str]]:
        return {"cpu": cpu, "memory": memory, "ephemeral-storage": ephemeral_storage}

    requests, limits = resources.requests, resources.limits
    return v1.ResourceRequirementsArgs(
        requests=amounts(requests.cpu, requests.memory, requests.ephemeral_storage),
        limits=amounts(limits.cpu, limits.memory, limits.ephemeral_storage),
    )


def spread(stack: Stack, name: str) -> list[v1.TopologySpreadConstraintArgs]:
    """Spread a service's replicas over zones and nodes, counted for each revision on its own.

    In production no node has two replicas more than another: a pod rather waits. Elsewhere it is a wish.
    """

    def constraint(topology_key: str, when_unsatisfiable: str) -> v1.TopologySpreadConstraintArgs:
        return v1.TopologySpreadConstraintArgs(
            max_skew=1,
            topology_key=topology_key,
            when_unsatisfiable=when_unsatisfiable,
            label_selector=LabelSelectorArgs(match_labels=selector(stack, name)),
            match_label_keys=["pod-template-hash"],
        )

    return [
        constraint("topology.kubernetes.io/zone", "ScheduleAnyway"),
        constraint("kubernetes.io/hostname", "DoNotSchedule" if stack.production else "ScheduleAnyway"),
    ]


def zones(stack: Stack, name: str) -> v1.TopologySpreadConstraintArgs:
    """Replicas of a StatefulSet in as many zones as can be."""
    return v1.TopologySpreadConstraintArgs(
        max_skew=1,
        topology_key="topology.kubernetes.io/zone",
        when_unsatisfiable="ScheduleAnyway",
        label_selector=LabelSelectorArgs(match_labels=selector(stack, name)),
    )


def apart(stack: Stack, name: str) -> v1.AffinityArgs:
    """No two replicas on one node: in production a pod rather waits, elsewhere it is a wish."""
    term = v1.PodAffinityTermArgs(
        topology_key="kubernetes.io/hostname",
        label_selector=LabelSelectorArgs(match_labels=selector(stack, name)),
    )
    if stack.production:
        rule = v1.PodAntiAffinityArgs(required_during_scheduling_ignored_during_execution=[term])
    else:
        wish = v1.WeightedPodAffinityTermArgs(weight=100, pod_affinity_term=term)
        rule = v1.PodAntiAffinityArgs(preferred_during_scheduling_ignored_during_execution=[wish])
    return v1.AffinityArgs(pod_anti_affinity=rule)


def _environment(container: Container) -> list[v1.EnvVarArgs]:
    plain = [v1.EnvVarArgs(name=name, value=value) for name, value in sorted(container.env.items())]
    secret = [
        v1.EnvVarArgs(
            name=name,
            value_from=v1.EnvVarSourceArgs(
                secret_key_ref=v1.SecretKeySelectorArgs(name=ref.name, key=ref.key)
            ),
        )
        for name, ref in sorted(container.secret_env.items())
    ]
    fields = [
        v1.EnvVarArgs(
            name=name,
            value_from=v1.EnvVarSourceArgs(field_ref=v1.ObjectFieldSelectorArgs(field_path=path)),
        )
        for name, path in sorted(container.field_env.items())
    ]
    return plain + secret + fields
