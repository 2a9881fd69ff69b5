"""Who decides how many pods a workload has: itself, Kubernetes' autoscaler, or KEDA's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from policies.matching import equals, every
from policies.node import UNKNOWN, Node
from policies.objects import KubernetesObject, Stack, same_name

HPA: Final = "HorizontalPodAutoscaler.autoscaling"
SCALED_OBJECT: Final = "ScaledObject.keda.sh"
SCALERS: Final = (HPA, SCALED_OBJECT)
SCALED: Final = ("Deployment.apps", "StatefulSet.apps")


def is_target(scaler: KubernetesObject, workload: KubernetesObject) -> bool | None:
    """Whether a scaler is about a workload."""
    reference = scaler.node.at("spec.scaleTargetRef")
    kind = reference.key("kind")
    if kind.absent and scaler.kind == SCALED_OBJECT:
        kind = Node("Deployment", kind.path)
    return every(
        [
            same_name(scaler.namespace, workload.namespace),
            equals(kind, workload.node.at("kind")),
            equals(reference.key("name"), workload.node.at("metadata.name")),
        ]
    )


def scalers_of(stack: Stack, workload: KubernetesObject) -> Iterator[tuple[KubernetesObject, bool]]:
    """The scalers that are, or may turn out to be, a workload's; and whether that is sure."""
    for scaler in stack.of_kind(*SCALERS):
        answer = is_target(scaler, workload)
        if answer is not False:
            yield scaler, answer is True


def scaler_of(stack: Stack, workload: KubernetesObject) -> tuple[KubernetesObject | None, bool]:
    """The workload's scaler, and whether that is sure: another may turn out to target the workload."""
    found = list(scalers_of(stack, workload))
    sure = [scaler for scaler, is_sure in found if is_sure]
    if sure:
        return sure[0], True
    return (found[0][0], False) if found else (None, True)


def lowest(scaler: KubernetesObject) -> Node:
    """The field with the least number of pods, and what holds where it is left out."""
    if scaler.kind == HPA:
        return _or(scaler.node.at("spec.minReplicas"), 1)
    return _or(scaler.node.at("spec.minReplicaCount"), 0)


def highest(scaler: KubernetesObject) -> Node:
    """The field with the greatest number of pods, and what holds where it is left out."""
    if scaler.kind == HPA:
        return scaler.node.at("spec.maxReplicas")
    return _or(scaler.node.at("spec.maxReplicaCount"), 100)


def least_replicas(stack: Stack, workload: KubernetesObject) -> Node:
    """The field that says how many pods there are at least."""
    scaler, sure = scaler_of(stack, workload)
    field = lowest(scaler) if scaler else _or(workload.node.at("spec.replicas"), 1)
    return field if sure else Node(UNKNOWN, field.path)


def _or(field: Node, default: int) -> Node:
    return Node(default, field.path) if field.absent else field
