# ruff: noqa: D103 - a rule's title, beside its function, says what it checks
"""Enough replicas, scaled by one hand, that survive a drained node."""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import Final

from policies.family import Family
from policies.matching import equals, every, matches_selector
from policies.node import UNKNOWN, Node
from policies.objects import KubernetesObject, Pod, Stack, same_name
from policies.rule import Enforcement, Findings, Options, Severity, fail, require, require_any

FAMILY: Final = Family("availability", "Availability")

_HPA: Final = "HorizontalPodAutoscaler.autoscaling"
_PDB: Final = "PodDisruptionBudget.policy"
_SCALED: Final = ("Deployment.apps", "StatefulSet.apps")
_REDUNDANT: Final = 2


def _is_target(autoscaler: KubernetesObject, workload: KubernetesObject) -> bool | None:
    reference = autoscaler.node.at("spec.scaleTargetRef")
    return every(
        [
            same_name(autoscaler.namespace, workload.namespace),
            equals(reference.at("kind"), workload.node.at("kind")),
            equals(reference.at("name"), workload.node.at("metadata.name")),
        ]
    )


def _autoscaler(stack: Stack, workload: KubernetesObject) -> tuple[KubernetesObject | None, bool]:
    """The workload's autoscaler, and whether that is sure: another may turn out to target the workload."""
    uncertain: KubernetesObject | None = None
    for item in stack.of_kind(_HPA):
        answer = _is_target(item, workload)
        if answer:
            return item, True
        if answer is None:
            uncertain = item
    return uncertain, uncertain is None


def _minimum(stack: Stack, workload: KubernetesObject) -> Node:
    """The field that says how many pods there are at least; 1 where nothing does."""
    autoscaler, sure = _autoscaler(stack, workload)
    field = autoscaler.node.at("spec.minReplicas") if autoscaler else workload.node.at("spec.replicas")
    if not sure:
        return Node(UNKNOWN, field.path)
    return Node(1, field.path) if field.absent else field


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
        scaler, _ = _autoscaler(stack, workload)
        minimum = _minimum(stack, workload)
        if minimum.unknown or (minimum.integer() or 0) < options.minimum_replicas:
            message = f"{minimum.value} is less than {options.minimum_replicas}"
            yield fail(minimum, message, scaler or workload)


@FAMILY.stack(
    "autoscaler-owns-replicas",
    "A workload with an autoscaler doesn't set replicas itself",
    Severity.MEDIUM,
    *_SCALED,
    _HPA,
    fix="Remove spec.replicas: every deployment would otherwise undo the autoscaler.",
    references=("kube-score: deployment-has-hpa-no-replicas",),
)
def autoscaler_owns_replicas(stack: Stack, _options: Options) -> Findings:
    for workload in stack.of_kind(*_SCALED):
        autoscaler, sure = _autoscaler(stack, workload)
        replicas = workload.node.at("spec.replicas")
        if autoscaler and not replicas.absent:
            place = replicas if sure else Node(UNKNOWN, replicas.path)
            yield fail(place, "is the autoscaler's to set", workload)


@FAMILY.stack(
    "autoscaler-target",
    "Every autoscaler has a target in the stack",
    Severity.HIGH,
    _HPA,
    fix="Correct spec.scaleTargetRef.",
    references=("kube-linter: dangling-horizontalpodautoscaler",),
)
def autoscaler_target(stack: Stack, _options: Options) -> Findings:
    for autoscaler in stack.of_kind(_HPA):
        yield from require_any(
            [_is_target(autoscaler, workload) for workload in stack.of_kind(*_SCALED)],
            autoscaler.node.at("spec.scaleTargetRef"),
            "is no Deployment or StatefulSet of the stack",
            autoscaler,
        )


@FAMILY.object(
    "autoscaler-range",
    "Autoscalers have room to scale",
    Severity.MEDIUM,
    _HPA,
    fix="Set maxReplicas above minReplicas.",
)
def autoscaler_range(subject: KubernetesObject, _options: Options) -> Findings:
    minimum, maximum = subject.node.at("spec.minReplicas"), subject.node.at("spec.maxReplicas")
    lowest = 1 if minimum.absent else minimum.integer()
    above = lowest is not None and (maximum.integer() or 0) > lowest
    uncertain = Node(UNKNOWN, maximum.path) if minimum.unknown else maximum
    yield from require(uncertain, lambda _: above, f"must be above the minimum, {lowest}")


def _covers(budget: KubernetesObject, pod: Pod) -> bool | None:
    return every(
        [
            same_name(budget.namespace, pod.owner.namespace),
            matches_selector(budget.node.at("spec.selector"), pod.metadata.at("labels")),
        ]
    )


@FAMILY.stack(
    "disruption-budget",
    "Workloads with several replicas have a disruption budget",
    Severity.MEDIUM,
    *_SCALED,
    _PDB,
    fix="Add a PodDisruptionBudget with maxUnavailable: 1.",
    references=("kube-score: deployment-has-poddisruptionbudget",),
    dev=Enforcement.ADVISORY,
)
def disruption_budget(stack: Stack, _options: Options) -> Findings:
    for workload in stack.of_kind(*_SCALED):
        minimum = _minimum(stack, workload)
        if not minimum.unknown and (minimum.integer() or 0) < _REDUNDANT:
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
        for workload in stack.of_kind(*_SCALED):
            covered = [_covers(budget, pod) for pod in workload.pods()]
            if True in covered:
                yield from _keeps_all(budget, _minimum(stack, workload))
            elif None in covered:
                yield from _keeps_all(budget, Node(UNKNOWN))


def _keeps_all(budget: KubernetesObject, minimum: Node) -> Findings:
    """The budget keeps all the pods that there are at the least scale."""
    least = budget.node.at("spec.minAvailable")
    if least.absent:
        return
    if least.unknown or minimum.unknown:
        yield fail(Node(UNKNOWN, least.path), "must be below the number of replicas", budget)
        return
    replicas = minimum.integer() or 0
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


@FAMILY.stack(
    "spread",
    "Replicas are spread over nodes",
    Severity.MEDIUM,
    *_SCALED,
    fix="Add topologySpreadConstraints over kubernetes.io/hostname and topology.kubernetes.io/zone.",
    references=("kube-score: deployment-has-host-podantiaffinity",),
    dev=Enforcement.DISABLED,
)
def spread(stack: Stack, _options: Options) -> Findings:
    for workload in stack.of_kind(*_SCALED):
        minimum = _minimum(stack, workload)
        if not minimum.unknown and (minimum.integer() or 0) < _REDUNDANT:
            continue
        for pod in workload.pods():
            constraints = pod.spec.at("topologySpreadConstraints")
            spread_out = bool(constraints.value) and not constraints.unknown
            if not spread_out and pod.spec.at("affinity.podAntiAffinity").absent:
                yield fail(constraints, "must be set, so that one node's end is not the service's", workload)


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


@FAMILY.object(
    "job-deadline",
    "Jobs end",
    Severity.MEDIUM,
    "Job.batch",
    "CronJob.batch",
    fix="Set activeDeadlineSeconds on the job.",
)
def job_deadline(subject: KubernetesObject, _options: Options) -> Findings:
    spec = subject.node.at("spec.jobTemplate.spec" if subject.kind == "CronJob.batch" else "spec")
    yield from require(spec.at("activeDeadlineSeconds"), bool, "must be set")


@FAMILY.object(
    "cron-job-overlap",
    "A scheduled job doesn't start beside itself",
    Severity.MEDIUM,
    "CronJob.batch",
    fix="Set concurrencyPolicy to Forbid or Replace, and startingDeadlineSeconds.",
)
def cron_job_overlap(subject: KubernetesObject, _options: Options) -> Findings:
    yield from require(
        subject.node.at("spec.concurrencyPolicy"),
        lambda value: value in ("Forbid", "Replace"),
        "must be Forbid or Replace",
    )
    yield from require(subject.node.at("spec.startingDeadlineSeconds"), bool, "must be set")
