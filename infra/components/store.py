"""What the data stores have in common: replicas on volumes of their own, with their metrics exporters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import (
    StatefulSet,
    StatefulSetPersistentVolumeClaimRetentionPolicyArgs,
    StatefulSetSpecArgs,
    StatefulSetUpdateStrategyArgs,
)
from pulumi_kubernetes.core import v1
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget

from infra.components.identity import Identity, IdentityArgs
from infra.components.mounts import Mount
from infra.components.pods import Container, Pod, apart, build_pod, zones
from infra.components.probes import exporter_probes
from infra.components.workload import build_disruption_budget
from infra.labels import KEEP, Component, labels, selector
from infra.naming import Stack, members
from infra.settings.workloads import Limits, Requests, Resources, Volume
from services.kit.conventions import OPS_PORT, OPS_PORT_NAME

DATA: Final = "data"
"""Name of the volume, in the pod and as template of its claim."""

GRACE_SECONDS: Final = 60
"""A store's time to write down what it has in memory."""

_MIN_READY_SECONDS: Final = 10
"""Between the replacement of two members."""

_EXPORTER_RESOURCES: Final = Resources(
    requests=Requests(cpu="10m", memory="48Mi", ephemeral_storage="16Mi"),
    limits=Limits(cpu="100m", memory="48Mi", ephemeral_storage="64Mi"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """Where a store is reached, in this cluster or outside.

    Attributes:
        host: Host name or address.
        port: TCP port.
        tls: Whether connections are encrypted and the store's certificate checked.
        secret: Name of the Secret with what it takes to log in.
        password_key: The Secret's key that holds the password.
        cidrs: Networks of a store outside the cluster; none for one inside.
        pods: Labels of its pods, where somebody else makes them.
    """

    host: str
    port: int
    tls: bool
    secret: str
    password_key: str = "password"  # noqa: S105 - a key's name
    cidrs: tuple[str, ...] = ()
    pods: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True, slots=True)
class StatefulServiceArgs:
    """A data store inside the cluster.

    Attributes:
        stack: The stack.
        component: What part it plays.
        containers: The store, then its exporter.
        port_name: Name of the store's own port.
        port: That port.
        volume: Where its data is.
        config_hash: Changes with its configuration files.
        members: How many replicas there are that know each other by name; None for one that is alone.
        more_ports: Further ports of members, by name.
    """

    stack: Stack
    component: Component
    containers: Sequence[Container]
    port_name: str
    port: int
    volume: Volume
    config_hash: str = ""
    members: int | None = None
    more_ports: Mapping[str, int] = field(default_factory=dict[str, int])


def exporter(
    image: pulumi.Input[str], command: str, env: Mapping[str, str], mounts: Sequence[Mount]
) -> Container:
    """The sidecar that tells Prometheus about a store."""
    return Container(
        name="exporter",
        image=image,
        command=[command],
        args=[f"--web.listen-address=:{OPS_PORT}"],
        ports={OPS_PORT_NAME: OPS_PORT},
        env=env,
        resources=_EXPORTER_RESOURCES,
        probes=exporter_probes(),
        mounts=mounts,
        pause_before_stop=False,
    )


def build_stateful_set(name: str, args: StatefulServiceArgs) -> StatefulSetSpecArgs:
    """Replicas whose volumes stay, whatever happens to the StatefulSet. Members start without each other."""
    alone = args.members is None
    pod = Pod(
        stack=args.stack,
        name=name,
        component=args.component,
        containers=args.containers,
        service_account=name,
        spread=() if alone else [zones(args.stack, name)],
        affinity=None if alone else apart(args.stack, name),
        config_hash=args.config_hash,
        grace_seconds=GRACE_SECONDS,
    )
    claim = v1.PersistentVolumeClaimArgs(
        metadata=ObjectMetaArgs(name=DATA, labels=labels(args.stack, name, args.component)),
        spec=v1.PersistentVolumeClaimSpecArgs(
            access_modes=["ReadWriteOnce"],
            storage_class_name=args.volume.storage_class,
            resources=v1.VolumeResourceRequirementsArgs(requests={"storage": args.volume.size}),
        ),
    )
    return StatefulSetSpecArgs(
        replicas=args.members or 1,
        revision_history_limit=10,
        service_name=name if alone else members(name),
        pod_management_policy=None if alone else "Parallel",
        min_ready_seconds=None if alone else _MIN_READY_SECONDS,
        selector=LabelSelectorArgs(match_labels=selector(args.stack, name)),
        update_strategy=StatefulSetUpdateStrategyArgs(type="RollingUpdate"),
        persistent_volume_claim_retention_policy=StatefulSetPersistentVolumeClaimRetentionPolicyArgs(
            when_deleted="Retain", when_scaled="Retain"
        ),
        template=build_pod(pod),
        volume_claim_templates=[claim],
    )


def build_service(name: str, args: StatefulServiceArgs) -> v1.ServiceSpecArgs:
    """One address for a store that is alone; for members a name each, whether they are ready or not."""
    alone = args.members is None
    ports = {args.port_name: args.port, **args.more_ports}
    return v1.ServiceSpecArgs(
        type="ClusterIP",
        cluster_ip=None if alone else "None",
        publish_not_ready_addresses=None if alone else True,
        selector=selector(args.stack, name),
        ports=[
            v1.ServicePortArgs(name=port_name, port=port, target_port=port_name, protocol="TCP")
            for port_name, port in ports.items()
        ],
    )


class StatefulService(pulumi.ComponentResource):
    """A data store: identity, StatefulSet and Service under one name."""

    def __init__(
        self, name: str, args: StatefulServiceArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("mcp:data:StatefulService", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        production = args.stack.production

        def metadata(object_name: str, annotations: Mapping[str, str] | None = None) -> ObjectMetaArgs:
            return ObjectMetaArgs(
                name=object_name,
                namespace=args.stack.namespace,
                labels=labels(args.stack, name, args.component),
                annotations=annotations,
            )

        Identity(name, IdentityArgs(stack=args.stack, component=args.component), opts=child)
        StatefulSet(
            name,
            metadata=metadata(name, KEEP),
            spec=build_stateful_set(name, args),
            opts=pulumi.ResourceOptions(parent=self, protect=production, retain_on_delete=production),
        )
        service = name if args.members is None else members(name)
        v1.Service(service, metadata=metadata(service), spec=build_service(name, args), opts=child)
        if args.members is not None:
            PodDisruptionBudget(
                name, metadata=metadata(name), spec=build_disruption_budget(args.stack, name), opts=child
            )
        self.register_outputs({"service": service})
