"""The stack's own collector of traces: services send to it, and it alone to the backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment, DeploymentSpecArgs
from pulumi_kubernetes.core import v1
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget

from infra.components.autoscaling import Autoscaling, AutoscalingArgs
from infra.components.collector_pods import CollectorContainer, build_collector
from infra.components.identity import Identity, IdentityArgs
from infra.components.platform_flows import dns, to_backend
from infra.components.pods import Pod, build_pod, spread
from infra.components.workload import (
    MIN_READY_SECONDS,
    PROGRESS_SECONDS,
    REVISIONS_KEPT,
    build_disruption_budget,
    build_strategy,
)
from infra.flows import CALLERS_OF_NAMES, Flow, service
from infra.hashing import config_hash
from infra.labels import Component, labels, selector
from infra.naming import COLLECTOR, Stack
from infra.settings.groups import Network
from infra.settings.telemetry import OTLP_PORT, Collector
from infra.telemetry import parts, traces

_COMPONENT: Final[Component] = "telemetry"
_PORT_NAME: Final = "otlp-http"


@dataclass(frozen=True, kw_only=True, slots=True)
class TracingArgs:
    """The collector of one stack.

    Attributes:
        stack: The stack.
        settings: Its size, and where it sends.
        image: Image reference.
    """

    stack: Stack
    settings: Collector
    image: pulumi.Input[str]


def trace_flows(network: Network, collector: Collector) -> list[Flow]:
    """The services to the collector, and the collector to the backend."""
    own, backend = service(COLLECTOR), collector.export
    return [
        Flow(source=CALLERS_OF_NAMES, target=own, port=OTLP_PORT),
        *dns(network, own),
        *to_backend(network, own, backend.cidrs, backend.port),
    ]


def build_files(args: TracingArgs) -> dict[str, str]:
    """What the ConfigMap holds."""
    return parts.files(args.settings.export, traces.build_config(args.stack, args.settings))


def build_deployment(name: str, args: TracingArgs) -> DeploymentSpecArgs:
    """Equal replicas; any of them takes any span."""
    stack, settings = args.stack, args.settings
    container = CollectorContainer(
        name=name,
        image=args.image,
        backend=settings.export,
        resources=settings.resources,
        ports={_PORT_NAME: OTLP_PORT},
        pause_before_stop=True,
    )
    pod = Pod(
        stack=stack,
        name=name,
        component=_COMPONENT,
        containers=[build_collector(container)],
        service_account=name,
        spread=spread(stack, name),
        config_hash=config_hash(build_files(args)),
    )
    return DeploymentSpecArgs(
        replicas=None if settings.autoscaling else settings.least,
        revision_history_limit=REVISIONS_KEPT,
        progress_deadline_seconds=PROGRESS_SECONDS,
        min_ready_seconds=MIN_READY_SECONDS,
        selector=LabelSelectorArgs(match_labels=selector(stack, name)),
        strategy=build_strategy(one_at_a_time=False),
        template=build_pod(pod),
    )


def build_service(stack: Stack, name: str) -> v1.ServiceSpecArgs:
    """OTLP over HTTP, inside of the cluster."""
    port = v1.ServicePortArgs(name=_PORT_NAME, port=OTLP_PORT, target_port=_PORT_NAME, protocol="TCP")
    return v1.ServiceSpecArgs(type="ClusterIP", selector=selector(stack, name), ports=[port])


class Tracing(pulumi.ComponentResource):
    """A collector's configuration, identity, Deployment, Service, disruption budget and autoscaler."""

    def __init__(self, name: str, args: TracingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mcp:observability:Tracing", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        stack, settings = args.stack, args.settings

        def metadata() -> ObjectMetaArgs:
            return ObjectMetaArgs(
                name=name, namespace=stack.namespace, labels=labels(stack, name, _COMPONENT)
            )

        v1.ConfigMap(name, metadata=metadata(), data=build_files(args), opts=child)
        Identity(name, IdentityArgs(stack=stack, component=_COMPONENT), opts=child)
        Deployment(name, metadata=metadata(), spec=build_deployment(name, args), opts=child)
        v1.Service(name, metadata=metadata(), spec=build_service(stack, name), opts=child)
        if settings.budgeted:
            PodDisruptionBudget(
                name, metadata=metadata(), spec=build_disruption_budget(stack, name), opts=child
            )
        if settings.autoscaling:
            scaling = AutoscalingArgs(stack=stack, component=_COMPONENT, scaling=settings.autoscaling)
            Autoscaling(name, scaling, opts=child)
        self.register_outputs({"service": name})
