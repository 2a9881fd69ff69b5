"""What the data stores have in common: one replica on a volume of its own, with its metrics exporter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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

from infra.components.identity import Identity, IdentityArgs
from infra.components.mounts import Mount
from infra.components.pods import Container, Pod, build_pod
from infra.components.probes import exporter_probes
from infra.labels import HELM_POLICY, Component, labels, selector
from infra.naming import Stack
from infra.settings.workloads import Limits, Requests, Resources, Volume
from services.kit.conventions import OPS_PORT, OPS_PORT_NAME

DATA: Final = "data"
"""Name of the volume, in the pod and as template of its claim."""

GRACE_SECONDS: Final = 60
"""A store's time to write down what it has in memory."""

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
    """

    host: str
    port: int
    tls: bool
    secret: str
    password_key: str = "password"  # noqa: S105 - a key's name
    cidrs: tuple[str, ...] = ()


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
    """

    stack: Stack
    component: Component
    containers: Sequence[Container]
    port_name: str
    port: int
    volume: Volume
    config_hash: str = ""


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
    """One replica whose volume stays, whatever happens to the StatefulSet."""
    pod = Pod(
        stack=args.stack,
        name=name,
        component=args.component,
        containers=args.containers,
        service_account=name,
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
        replicas=1,
        revision_history_limit=10,
        service_name=name,
        selector=LabelSelectorArgs(match_labels=selector(args.stack, name)),
        update_strategy=StatefulSetUpdateStrategyArgs(type="RollingUpdate"),
        persistent_volume_claim_retention_policy=StatefulSetPersistentVolumeClaimRetentionPolicyArgs(
            when_deleted="Retain", when_scaled="Retain"
        ),
        template=build_pod(pod),
        volume_claim_templates=[claim],
    )


class StatefulService(pulumi.ComponentResource):
    """A data store: identity, StatefulSet and Service under one name."""

    def __init__(
        self, name: str, args: StatefulServiceArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("mcp:data:StatefulService", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        production = args.stack.production

        def metadata(annotations: Mapping[str, str] | None = None) -> ObjectMetaArgs:
            return ObjectMetaArgs(
                name=name,
                namespace=args.stack.namespace,
                labels=labels(args.stack, name, args.component),
                annotations=annotations,
            )

        Identity(name, IdentityArgs(stack=args.stack, component=args.component), opts=child)
        StatefulSet(
            name,
            metadata=metadata({HELM_POLICY: "keep"}),
            spec=build_stateful_set(name, args),
            opts=pulumi.ResourceOptions(parent=self, protect=production, retain_on_delete=production),
        )
        v1.Service(
            name,
            metadata=metadata(),
            spec=v1.ServiceSpecArgs(
                type="ClusterIP",
                selector=selector(args.stack, name),
                ports=[
                    v1.ServicePortArgs(
                        name=args.port_name, port=args.port, target_port=args.port_name, protocol="TCP"
                    )
                ],
            ),
            opts=child,
        )
        self.register_outputs({"service": name})
