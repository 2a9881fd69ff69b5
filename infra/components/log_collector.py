"""Collectors of logs: one on each node, in a namespace of their own, since they read a folder of the node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import (
    DaemonSet,
    DaemonSetSpecArgs,
    DaemonSetUpdateStrategyArgs,
    RollingUpdateDaemonSetArgs,
)
from pulumi_kubernetes.core import v1
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from infra.components.collector_pods import CollectorContainer, build_collector
from infra.components.mounts import host_folder, scratch
from infra.components.namespace import build_limit_range
from infra.components.network import Network, NetworkArgs
from infra.components.platform_flows import dns, metrics, to_backend
from infra.components.pods import Pod, build_pod
from infra.components.secret import copy_of
from infra.components.workload import MIN_READY_SECONDS, REVISIONS_KEPT
from infra.external_secrets import (
    AwsProvider,
    ExternalSecret,
    Provider,
    SecretStore,
    SecretStoreSpec,
    Template,
    TemplateMetadata,
)
from infra.flows import Flow, service
from infra.hashing import config_hash
from infra.labels import Component, labels, selector
from infra.naming import LOG_COLLECTOR, PROJECT, Stack
from infra.quantities import cpu_millis, mebibytes, size_bytes
from infra.settings.groups import Network as NetworkSettings
from infra.settings.telemetry import QUEUE_SHARE
from infra.settings.telemetry import Logging as Settings
from infra.telemetry import logs, parts
from infra.versions import POD_SECURITY
from services.kit.conventions import OPS_PORT, OPS_PORT_NAME

EXEMPT: Final = "mcp-platform.dev/policy-exempt"
"""The policies' annotation for exemptions (policies/exemptions.py, which this program doesn't import)."""

_COMPONENT: Final[Component] = "telemetry"
_ROOT_GROUP: Final = 0
"""Whose log files are: container runtimes make them readable for this group, and nobody else."""

_REASON: Final = "logs are read where the kubelet keeps them, ADR 35"


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggingArgs:
    """The collectors of one stack.

    Attributes:
        stack: The stack.
        settings: Their size, and where they send.
        network: The cluster's addresses around the stack.
        image: Image reference.
        region: Of the AWS Secrets Manager that secrets are copied from; None where the cluster has a store.
    """

    stack: Stack
    settings: Settings
    network: NetworkSettings
    image: pulumi.Input[str]
    region: str | None = None


def log_flows(network: NetworkSettings, settings: Settings) -> list[Flow]:
    """The collectors to the backend, and Prometheus to the collectors; nobody else calls them."""
    own, backend = service(LOG_COLLECTOR), settings.export
    return [
        *dns(network, own),
        metrics(network),
        *to_backend(network, own, backend.cidrs, backend.port),
    ]


def pod_security_labels() -> dict[str, str]:
    """Pod Security has no level that allows a folder of the node and still forbids the rest."""
    modes = ("enforce", "audit", "warn")
    return {f"pod-security.kubernetes.io/{mode}": "privileged" for mode in modes} | {
        f"pod-security.kubernetes.io/{mode}-version": POD_SECURITY for mode in modes
    }


def exemption(settings: Settings, *rules: str) -> dict[str, str]:
    """The annotation that excuses an object from some policies, as long as somebody answers for it."""
    return {EXEMPT: "".join(f"{rule}: {_REASON} (until {settings.exempt_until})\n" for rule in rules)}


def build_quota(settings: Settings) -> v1.ResourceQuotaSpecArgs:
    """One pod for each node."""
    requests, nodes = settings.resources.requests, settings.nodes
    return v1.ResourceQuotaSpecArgs(
        hard={
            "pods": str(nodes),
            "requests.cpu": f"{nodes * cpu_millis(requests.cpu)}m",
            "requests.memory": mebibytes(nodes * size_bytes(requests.memory)),
        }
    )


def build_files(args: LoggingArgs) -> dict[str, str]:
    """What the ConfigMap holds."""
    return parts.files(args.settings.export, logs.build_config(args.stack, args.settings))


def build_daemon_set(name: str, args: LoggingArgs) -> DaemonSetSpecArgs:
    """On every node that the stack's pods run on: none of them tolerates a taint, nor does this."""
    stack, settings = args.stack, args.settings
    state = mebibytes(QUEUE_SHARE * size_bytes(settings.queue))
    container = CollectorContainer(
        name=name,
        image=args.image,
        backend=settings.export,
        resources=settings.resources,
        mounts=[scratch("state", logs.STATE_PATH, state), host_folder("pods", logs.LOGS_PATH)],
        field_env={logs.NODE_NAME: "spec.nodeName"},
        pause_before_stop=False,
    )
    pod = Pod(
        stack=stack,
        name=name,
        component=_COMPONENT,
        containers=[build_collector(container)],
        service_account=name,
        config_hash=config_hash(build_files(args)),
        groups=(_ROOT_GROUP,),
        priority_class=settings.priority_class,
    )
    return DaemonSetSpecArgs(
        revision_history_limit=REVISIONS_KEPT,
        min_ready_seconds=MIN_READY_SECONDS,
        selector=LabelSelectorArgs(match_labels=selector(stack, name)),
        update_strategy=DaemonSetUpdateStrategyArgs(
            type="RollingUpdate",
            # Two at once would read the same files.
            rolling_update=RollingUpdateDaemonSetArgs(max_surge=0, max_unavailable="10%"),
        ),
        template=build_pod(pod),
    )


def build_service(stack: Stack, name: str) -> v1.ServiceSpecArgs:
    """Without an address: it is only how Prometheus finds the pods."""
    port = v1.ServicePortArgs(name=OPS_PORT_NAME, port=OPS_PORT, target_port=OPS_PORT_NAME, protocol="TCP")
    return v1.ServiceSpecArgs(
        type="ClusterIP", cluster_ip="None", selector=selector(stack, name), ports=[port]
    )


class Logging(pulumi.ComponentResource):
    """The namespace, what may be sent from there, and a DaemonSet with its configuration and identity."""

    def __init__(self, name: str, args: LoggingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mcp:observability:Logging", name, None, opts)
        stack, settings, namespace = args.stack, args.settings, args.stack.logging_namespace
        own = labels(stack, name, _COMPONENT)

        def metadata(object_name: str, annotations: Mapping[str, str] | None = None) -> ObjectMetaArgs:
            return ObjectMetaArgs(name=object_name, namespace=namespace, labels=own, annotations=annotations)

        created = v1.Namespace(
            namespace,
            metadata=ObjectMetaArgs(
                name=namespace,
                labels={**own, **pod_security_labels()},
                annotations=exemption(settings, "namespace-pod-security"),
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        inside = pulumi.ResourceOptions(parent=self, depends_on=[created])
        v1.ResourceQuota(PROJECT, metadata=metadata(PROJECT), spec=build_quota(settings), opts=inside)
        v1.LimitRange(PROJECT, metadata=metadata(PROJECT), spec=build_limit_range(), opts=inside)
        flows = log_flows(args.network, settings)
        Network(f"{name}-network", NetworkArgs(stack=stack, flows=flows, namespace=namespace), opts=inside)
        v1.ConfigMap(name, metadata=metadata(name), data=build_files(args), opts=inside)
        v1.ServiceAccount(name, metadata=metadata(name), automount_service_account_token=False, opts=inside)
        self._copy_token(args, metadata, inside)
        exempt = exemption(settings, "pss-host-path", "pss-volume-types")
        DaemonSet(name, metadata=metadata(name, exempt), spec=build_daemon_set(name, args), opts=inside)
        v1.Service(name, metadata=metadata(name), spec=build_service(stack, name), opts=inside)
        self.register_outputs({"namespace": namespace})

    @staticmethod
    def _copy_token(
        args: LoggingArgs, metadata: Callable[[str], ObjectMetaArgs], opts: pulumi.ResourceOptions
    ) -> None:
        """The token's Secret, where secrets are copied from a store: one is needed in this namespace, too."""
        token, source = args.settings.export.token, args.stack.secrets
        if token is None or source is None:
            return
        if args.region:
            store = SecretStoreSpec(provider=Provider(aws=AwsProvider(region=args.region)))
            SecretStore(source.name, metadata(source.name), store, opts)
        own = labels(args.stack, LOG_COLLECTOR, _COMPONENT)
        template = Template(type="Opaque", metadata=TemplateMetadata(labels=own))
        ExternalSecret(
            token.name, metadata(token.name), copy_of(token.name, [token.key], source, template), opts
        )
