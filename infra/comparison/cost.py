"""What a stack costs a month, as far as its program tells: an estimate, with what it leaves out.

Pods cost what they request, times their replicas (from an autoscaler's fewest to its most); volumes cost
their size; managed services their size and number. Traffic, calls, snapshots and idle nodes are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from infra.comparison import cost_aws
from infra.comparison.cost_pods import (
    Amount,
    UnknownCostError,
    items,
    known,
    mapping,
    number,
    pod_month,
    volume_month,
)
from infra.comparison.matching import ObjectName, object_name, providers_of
from infra.comparison.prices import HOURS, Prices
from infra.engine.graph import Data, Graph, Resource

BY_NODES: Final = "one pod for each node"
BY_TIME: Final = "by how often and how long it runs"


@dataclass(frozen=True, slots=True)
class Line:
    """What one object costs a month, at least and at most."""

    what: str
    month: Amount


@dataclass(frozen=True, slots=True)
class Unpriced:
    """An object that costs something, and why nobody can tell how much."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a stack costs.

    Attributes:
        lines: What is known, object by object.
        unpriced: What is not.
    """

    lines: tuple[Line, ...]
    unpriced: tuple[Unpriced, ...]

    @property
    def total(self) -> Amount:
        """A month's sum of what is known."""
        return sum((line.month for line in self.lines), start=Amount(0, 0))


def estimate(graph: Graph, prices: Prices) -> Estimate:
    """Estimate what an evaluated stack costs a month."""
    providers = providers_of(graph)
    named = [(item, object_name(item, providers)) for item in graph.resources if item.custom]
    scalers = dict(_scalers(named))
    lines: list[Line] = []
    unpriced: list[Unpriced] = []
    for resource, name in named:
        what = f"{name.kind}/{name.name}"
        try:
            month = _month(resource, name, scalers, prices)
        except UnknownCostError as error:
            unpriced.append(Unpriced(what, str(error)))
        else:
            if month is not None:
                lines.append(Line(what, month))
    return Estimate(tuple(lines), tuple(unpriced))


Scaled = tuple[str, str, str]
"""Namespace, kind and name of what is scaled."""
Scalers = Mapping[Scaled, tuple[Data, Data]]
"""The fewest and the most replicas, as declared."""


def _scalers(named: Sequence[tuple[Resource, ObjectName]]) -> Iterator[tuple[Scaled, tuple[Data, Data]]]:
    for resource, name in named:
        if resource.type.startswith("kubernetes:") and name.kind in {
            "HorizontalPodAutoscaler",
            "ScaledObject",
        }:
            spec = _if_known(resource.inputs.get("spec"))
            target = _if_known(spec.get("scaleTargetRef"))
            fewest = spec.get(
                "minReplicas", spec.get("minReplicaCount", 1 if name.group == "autoscaling" else 0)
            )
            most = spec.get("maxReplicas", spec.get("maxReplicaCount", 100))
            kind = str(target.get("kind", "Deployment"))
            yield (name.namespace, kind, str(target.get("name"))), (fewest, most)


def _if_known(value: Data) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _month(resource: Resource, name: ObjectName, scalers: Scalers, prices: Prices) -> Amount | None:
    """What an object costs; None for what costs nothing by itself."""
    if name.kind == "Provider":
        return None
    if name.package == "aws":
        return cost_aws.month(resource, prices)
    found = _KINDS.get(name.kind) if name.package == "kubernetes" else None
    if found is None:
        return None
    scaled = scalers.get((name.namespace, name.kind, name.name))
    replicas = Amount(number(scaled[0]), number(scaled[1])) if scaled else None
    return found(name, mapping(resource.inputs.get("spec"), "what it is"), replicas, prices)


def _pods(name: ObjectName, spec: Mapping[str, Any], replicas: Amount | None, prices: Prices) -> Amount:
    del name
    count = replicas or Amount.of(number(spec.get("replicas", 1)))
    pod = mapping(mapping(spec.get("template"), "its pod").get("spec"), "its pod")
    month = pod_month(pod, prices) * count
    for claim in items(spec.get("volumeClaimTemplates"), "its volumes"):
        month += volume_month(mapping(claim.get("spec"), "its volumes"), prices) * count
    return month


def _pod(name: ObjectName, spec: Mapping[str, Any], replicas: Amount | None, prices: Prices) -> Amount:
    del name, replicas
    return pod_month(spec, prices)


def _volume(name: ObjectName, spec: Mapping[str, Any], replicas: Amount | None, prices: Prices) -> Amount:
    del name, replicas
    return volume_month(spec, prices)


def _service(
    name: ObjectName, spec: Mapping[str, Any], replicas: Amount | None, prices: Prices
) -> Amount | None:
    del name, replicas
    balanced = known(spec.get("type"), "whether it has a load balancer") == "LoadBalancer"
    return Amount.of(prices.load_balancer_hour * HOURS) if balanced else None


def _postgres(
    name: ObjectName, spec: Mapping[str, Any], replicas: Amount | None, prices: Prices
) -> Amount | None:
    """CloudNativePG's Cluster; other operators' clusters are not known."""
    del replicas
    if name.group != "postgresql.cnpg.io":
        raise UnknownCostError(f"a Cluster of {name.group or 'no group'} is not in the estimate")
    pod = {"containers": [{"name": "postgres", "resources": spec.get("resources")}]}
    month = pod_month(pod, prices)
    for key in ("storage", "walStorage"):
        if storage := mapping(spec.get(key), key):
            request = {"requests": {"storage": storage.get("size")}}
            month += volume_month(
                {"resources": request, "storageClassName": storage.get("storageClass")}, prices
            )
    return month * Amount.of(number(spec.get("instances", 1)))


def _unknown(why: str) -> Callable[[ObjectName, Mapping[str, Any], Amount | None, Prices], Amount]:
    def refuse(name: ObjectName, spec: Mapping[str, Any], replicas: Amount | None, prices: Prices) -> Amount:
        del name, spec, replicas, prices
        raise UnknownCostError(why)

    return refuse


_KINDS: Final[
    Mapping[str, Callable[[ObjectName, Mapping[str, Any], Amount | None, Prices], Amount | None]]
] = {
    "Cluster": _postgres,
    "CronJob": _unknown(BY_TIME),
    "DaemonSet": _unknown(BY_NODES),
    "Deployment": _pods,
    "Job": _unknown(BY_TIME),
    "PersistentVolumeClaim": _volume,
    "Pod": _pod,
    "ReplicaSet": _pods,
    "Service": _service,
    "StatefulSet": _pods,
}
