# ruff: noqa: D103 - a rule's title, beside its function, says what it checks
"""Enough replicas, which survive a drained node."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import ceil
from typing import Final

from policies.family import Family
from policies.matching import every, matches_selector
from policies.node import UNKNOWN, Node
from policies.objects import KubernetesObject, Pod, Stack, same_name
from policies.rule import Enforcement, Findings, Options, Severity, fail, require, require_any
from policies.scalers import SCALED, least_replicas, scaler_of

FAMILY: Final = Family("availability", "Availability")

_PDB: Final = "PodDisruptionBudget.policy"
_REDUNDANT: Final = 2
_NODES: Final = ("kubernetes.io/hostname", "topology.kubernetes.io/zone")


@FAMILY.stack(
    "min-replicas",
    "Stateless services have a replica to spare",
    Severity.HIGH,
    "Deployment.apps",
    fix="Set spec.replicas, or the autoscaler's minReplicas, to 2 or more.",
    references=("kube-score: deployment-replicas",),
    dev=Enforcement.DISABLED,
    settings=("minimum_replicas",),
)
def min_replicas(stack: Stack, options: Options) -> Findings:
    for workload in stack.of_kind("Deployment.apps"):
        scaler, _ = scaler_of(stack, workload)
        fewest = least_replicas(stack, workload)
        if fewest.unknown or (fewest.integer() or 0) < options.minimum_replicas:
            message = f"{fewest.value} is less than {options.minimum_replicas}"
            yield fail(fewest, message, scaler or workload)


def _covers(budget: KubernetesObject, pod: Pod) -> bool | None:
    return every(
        [
            same_name(budget.namespace, pod.owner.namespace),
            not budget.node.at("spec.selector").absent,  # one without takes no pods, an empty one all
            matches_selector(budget.node.at("spec.selector"), pod.metadata.at("labels")),
        ]
    )


@FAMILY.stack(
    "disruption-budget",
    "Workloads with several replicas have a disruption budget",
    Severity.MEDIUM,
    *SCALED,
    _PDB,
    fix="Add a PodDisruptionBudget with maxUnavailable: 1.",
    references=("kube-score: deployment-has-poddisruptionbudget",),
    dev=Enforcement.ADVISORY,
)
def disruption_budget(stack: Stack, _options: Options) -> Findings:
    for workload in stack.of_kind(*SCALED):
        fewest = least_replicas(stack, workload)
        if not fewest.unknown and (fewest.integer() or 0) < _REDUNDANT:
            continue
        for pod in workload.pods():
            yield from require_any(
                [_covers(budget, pod) for budget in stack.of_kind(_PDB)],
                pod.metadata.at("labels"),
                "no disruption budget covers the pods",
                workload,
            )


@FAMILY.stack(
    "disruption-budget-allows",
    "Disruption budgets let a node be drained",
    Severity.HIGH,
    _PDB,
    fix="Use maxUnavailable: 1, or a minAvailable below the number of replicas.",
    references=("kube-linter: pdb-max-unavailable", "kube-linter: pdb-min-available"),
)
def disruption_budget_allows(stack: Stack, _options: Options) -> Findings:
    for budget in stack.of_kind(_PDB):
        most = budget.node.at("spec.maxUnavailable")
        if not most.absent and (most.unknown or most.value in (0, "0", "0%")):
            yield fail(most, "allows no disruption at all", budget)
        for workload in stack.of_kind(*SCALED):
            covered = [_covers(budget, pod) for pod in workload.pods()]
            if True in covered:
                yield from _keeps_all(budget, least_replicas(stack, workload))
            elif None in covered:
                yield from _keeps_all(budget, Node(UNKNOWN))


def _keeps_all(budget: KubernetesObject, fewest: Node) -> Findings:
    """The budget keeps all the pods that there are at the least scale."""
    least = budget.node.at("spec.minAvailable")
    if least.absent:
        return
    if least.unknown or fewest.unknown:
        yield fail(Node(UNKNOWN, least.path), "must be below the number of replicas", budget)
        return
    replicas = fewest.integer() or 0
    text = str(least.value)
    share = Fraction(int(text[:-1]), 100) if text[:-1].isdigit() and text.endswith("%") else None
    kept = ceil(share * replicas) if share is not None else int(text) if text.isdigit() else replicas
    if kept >= replicas:
        yield fail(least, f"keeps all {replicas} replicas, so no node can be drained", budget)


@FAMILY.stack(
    "disruption-budget-selects",
    "Every disruption budget covers pods of the stack",
    Severity.MEDIUM,
    _PDB,
    fix="Make spec.selector match the labels of the pod template.",
    references=("kube-score: poddisruptionbudget-has-policy",),
)
def disruption_budget_selects(stack: Stack, _options: Options) -> Findings:
    for budget in stack.of_kind(_PDB):
        yield from require_any(
            [_covers(budget, pod) for pod in stack.pods],
            budget.node.at("spec.selector"),
            "covers no pod of the stack",
            budget,
        )


@FAMILY.object(
    "disruption-budget-unhealthy",
    "Pods that don't work don't keep a node from being drained",
    Severity.LOW,
    _PDB,
    fix="Set unhealthyPodEvictionPolicy: AlwaysAllow.",
)
def disruption_budget_unhealthy(subject: KubernetesObject, _options: Options) -> Findings:
    yield from require(
        subject.node.at("spec.unhealthyPodEvictionPolicy"),
        lambda value: value == "AlwaysAllow",
        "must be AlwaysAllow",
    )


@FAMILY.stack(
    "spread",
    "Replicas are spread over nodes",
    Severity.MEDIUM,
    *SCALED,
    fix="Add topologySpreadConstraints over kubernetes.io/hostname and topology.kubernetes.io/zone.",
    references=("kube-score: deployment-has-host-podantiaffinity",),
    dev=Enforcement.DISABLED,
)
def spread(stack: Stack, _options: Options) -> Findings:
    for workload in stack.of_kind(*SCALED):
        fewest = least_replicas(stack, workload)
        if not fewest.unknown and (fewest.integer() or 0) < _REDUNDANT:
            continue
        for pod in workload.pods():
            yield from require_any(
                _keeps_apart(pod),
                pod.spec.at("topologySpreadConstraints"),
                "must keep the pods apart, so that one node's end is not the service's",
                workload,
            )


def _keeps_apart(pod: Pod) -> Iterator[bool | None]:
    """Whether each constraint is about the pods themselves, and about where they run."""
    apart = pod.spec.at("affinity.podAntiAffinity")
    preferred = apart.at("preferredDuringSchedulingIgnoredDuringExecution").items()
    terms = [
        *pod.spec.at("topologySpreadConstraints").items(),
        *apart.at("requiredDuringSchedulingIgnoredDuringExecution").items(),
        *(term.key("podAffinityTerm") for term in preferred),
    ]
    for term in terms:
        topology, selector = term.key("topologyKey"), term.key("labelSelector")
        yield every(
            [
                None if topology.unknown else topology.value in _NODES,
                not selector.absent,
                matches_selector(selector, pod.metadata.at("labels")),
            ]
        )


@FAMILY.object(
    "rolling-update",
    "Updates start a new pod before they stop an old one",
    Severity.MEDIUM,
    "Deployment.apps",
    fix="Set strategy.rollingUpdate.maxUnavailable: 0; Recreate is only for a volume that can't be shared.",
)
def rolling_update(subject: KubernetesObject, _options: Options) -> Findings:
    strategy = subject.node.at("spec.strategy")
    if strategy.at("type").value == "Recreate":
        if not any(_has_claim(pod) for pod in subject.pods()):
            yield fail(strategy.at("type"), "stops the service for every update")
        return
    yield from require(
        strategy.at("rollingUpdate.maxUnavailable"), lambda value: value in (0, "0%"), "must be 0"
    )


def _has_claim(pod: Pod) -> bool:
    return any(
        not volume.at("persistentVolumeClaim").absent or volume.unknown
        for volume in pod.spec.at("volumes").items()
    )
