"""How many proxies Envoy Gateway runs for the front door, and where: its EnvoyProxy. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from infra.components.edge_envoy import API_VERSION
from infra.custom_resources import LabelSelector, TopologySpread, TypedResource, spelled
from infra.gateway_api import ParametersReference
from infra.naming import EDGE, Stack
from infra.settings.workloads import Scaled

REFERENCE: Final = ParametersReference(group=API_VERSION.partition("/")[0], kind="EnvoyProxy", name=EDGE)
"""What the Gateway says of it."""

_OWNER: Final = "gateway.envoyproxy.io/owning-gateway"
"""Begin of the labels by which Envoy Gateway tells whose proxies are whose."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricTarget:
    """A share of what is requested."""

    average_utilization: int
    type: Literal["Utilization"] = "Utilization"


@dataclass(frozen=True, kw_only=True, slots=True)
class ResourceMetric:
    """What is measured."""

    name: Literal["cpu", "memory"]
    target: MetricTarget


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One of a HorizontalPodAutoscaler's."""

    resource: ResourceMetric
    type: Literal["Resource"] = "Resource"


@dataclass(frozen=True, kw_only=True, slots=True)
class Autoscaler:
    """Of the proxies' Deployment."""

    min_replicas: int
    max_replicas: int
    metrics: tuple[Metric, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class DisruptionBudget:
    """Of the proxies."""

    max_unavailable: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Pod:
    """A proxy's pod."""

    topology_spread_constraints: tuple[TopologySpread, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployment:
    """The proxies; their number is the autoscaler's where there is one."""

    pod: Pod
    replicas: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Kubernetes:
    """What is made of the proxies."""

    envoy_deployment: Deployment
    envoy_hpa: Autoscaler | None
    envoy_pdb: DisruptionBudget | None = field(metadata=spelled("envoyPDB"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Provider:
    """Where proxies run."""

    kubernetes: Kubernetes
    type: Literal["Kubernetes"] = "Kubernetes"


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvoyProxySpec:
    """What Envoy Gateway makes for a Gateway: without it, one proxy alone."""

    provider: Provider


def build_proxies(stack: Stack, wanted: Scaled) -> EnvoyProxySpec:
    """As many as the settings say, on different nodes and in different zones as far as there are any."""
    own = LabelSelector(match_labels={f"{_OWNER}-name": EDGE, f"{_OWNER}-namespace": stack.namespace})
    topologies = ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
    spread = tuple(TopologySpread(topology_key=key, label_selector=own) for key in topologies)
    return EnvoyProxySpec(
        provider=Provider(
            kubernetes=Kubernetes(
                envoy_deployment=Deployment(
                    pod=Pod(topology_spread_constraints=spread),
                    replicas=None if wanted.autoscaling else wanted.least,
                ),
                envoy_hpa=_autoscaler(wanted),
                envoy_pdb=DisruptionBudget(max_unavailable=1) if wanted.budgeted else None,
            )
        )
    )


def _autoscaler(wanted: Scaled) -> Autoscaler | None:
    scaling = wanted.autoscaling
    if scaling is None:
        return None

    def of(name: Literal["cpu", "memory"], percent: int) -> Metric:
        return Metric(resource=ResourceMetric(name=name, target=MetricTarget(average_utilization=percent)))

    metrics = (of("cpu", scaling.cpu), of("memory", scaling.memory))
    return Autoscaler(min_replicas=scaling.min, max_replicas=scaling.max, metrics=metrics)


class EnvoyProxy(TypedResource[EnvoyProxySpec], api_version=API_VERSION):
    """Tells Envoy Gateway what to run for a Gateway."""
