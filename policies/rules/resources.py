# ruff: noqa: D103 - a rule's title, beside its function, says what it checks
"""Requests and limits."""

from __future__ import annotations

from typing import Final

from policies.family import Family
from policies.node import Node
from policies.objects import KubernetesObject, Pod
from policies.quantity import is_positive, parse_quantity
from policies.rule import Enforcement, Findings, Options, Severity, fail, require

FAMILY: Final = Family("resources", "Resource requests and limits")


def _budgeted(pod: Pod) -> list[Node]:
    """Containers whose resources count; ephemeral ones can't have any."""
    return [*pod.spec.at("initContainers").items(), *pod.spec.at("containers").items()]


@FAMILY.pod(
    "resource-requests",
    "Containers request CPU and memory",
    Severity.MEDIUM,
    fix="Set resources.requests.cpu and .memory: the scheduler and the autoscaler count on them.",
    references=("Kubescape C-0004", "KSV015", "KSV016", "CKV_K8S_10", "CKV_K8S_12"),
)
def resource_requests(pod: Pod, _options: Options) -> Findings:
    for container in _budgeted(pod):
        for name in ("cpu", "memory"):
            yield from require(
                container.at(f"resources.requests.{name}"), is_positive, "must be a positive amount"
            )


@FAMILY.pod(
    "memory-limit",
    "Containers have a memory limit",
    Severity.HIGH,
    fix="Set resources.limits.memory: without one a leak takes down its neighbours.",
    references=("Kubescape C-0004", "KSV018", "CKV_K8S_13"),
)
def memory_limit(pod: Pod, _options: Options) -> Findings:
    for container in _budgeted(pod):
        yield from require(container.at("resources.limits.memory"), is_positive, "must be a positive amount")


@FAMILY.pod(
    "requests-within-limits",
    "No request is above its limit",
    Severity.MEDIUM,
    fix="Lower the request or raise the limit: the API server refuses the pod.",
)
def requests_within_limits(pod: Pod, _options: Options) -> Findings:
    for container in _budgeted(pod):
        limits = container.at("resources.limits")
        for name, request in container.at("resources.requests").entries():
            limit = limits.key(name)
            if request.unknown or limit.unknown:
                yield fail(request if request.unknown else limit, "must not be above the limit")
                continue
            wanted, allowed = parse_quantity(request.value), parse_quantity(limit.value)
            if wanted is not None and allowed is not None and wanted > allowed:
                yield fail(request, f"{request.value} is above the limit {limit.value}")


@FAMILY.pod(
    "ephemeral-storage-limit",
    "Containers have a limit on the node's disk",
    Severity.LOW,
    fix="Set resources.limits.ephemeral-storage: logs and scratch files fill the node's disk otherwise.",
    references=("kube-score: container-ephemeral-storage-request-and-limit",),
    dev=Enforcement.ADVISORY,
    prod=Enforcement.ADVISORY,
)
def ephemeral_storage_limit(pod: Pod, _options: Options) -> Findings:
    for container in _budgeted(pod):
        yield from require(
            container.key("resources").key("limits").key("ephemeral-storage"), is_positive, "must be set"
        )


@FAMILY.pod(
    "priority-class",
    "Pods say how urgent they are",
    Severity.LOW,
    fix="Set priorityClassName, to a higher class for what all depend on: where there isn't room for "
    "everybody, the scheduler and the kubelet go by it.",
    references=("Polaris: priorityClassNotSet",),
    dev=Enforcement.DISABLED,
)
def priority_class(pod: Pod, _options: Options) -> Findings:
    yield from require(
        pod.spec.key("priorityClassName"), lambda value: isinstance(value, str) and value != "", "must be set"
    )


@FAMILY.object(
    "stateful-memory-guaranteed",
    "Databases get the memory that they may use",
    Severity.MEDIUM,
    "StatefulSet.apps",
    fix="Set resources.requests.memory to the limit: a database must not be the first that the node evicts.",
    dev=Enforcement.ADVISORY,
)
def stateful_memory_guaranteed(subject: KubernetesObject, _options: Options) -> Findings:
    for pod in subject.pods():
        for container in pod.spec.at("containers").items():
            request, limit = (
                container.at("resources.requests.memory"),
                container.at("resources.limits.memory"),
            )
            if request.unknown or limit.unknown:
                yield fail(request if request.unknown else limit, "must equal the limit")
            elif limit.absent or parse_quantity(request.value) != parse_quantity(limit.value):
                yield fail(request, f"{request.value} must equal the limit {limit.value}")
