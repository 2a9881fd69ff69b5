# ruff: noqa: D103 - a rule's title, beside its function, says what it checks
"""Namespaces: Pod Security admission, and that objects are in one of their own."""

from __future__ import annotations

import re
from typing import Final

from policies.family import Family
from policies.objects import KubernetesObject, Stack, same_name
from policies.rule import Enforcement, Findings, Options, Severity, fail, require, require_any

FAMILY: Final = Family("namespace", "Namespaces")

_QUOTA: Final = "ResourceQuota"
_LIMITS: Final = "LimitRange"

_PSA: Final = "pod-security.kubernetes.io/"
_VERSION: Final = re.compile(r"v1\.\d+\Z|latest\Z")


@FAMILY.object(
    "namespace-pod-security",
    "Namespaces enforce Pod Security restricted",
    Severity.CRITICAL,
    "Namespace",
    fix="Label the namespace pod-security.kubernetes.io/enforce, audit and warn: restricted.",
    references=("CIS 5.2.1", "PSS"),
)
def namespace_pod_security(subject: KubernetesObject, _options: Options) -> Findings:
    for mode in ("enforce", "audit", "warn"):
        yield from require(
            subject.labels.key(_PSA + mode), lambda value: value == "restricted", "must be restricted"
        )


@FAMILY.object(
    "namespace-pod-security-version",
    "Namespaces pin the version of the Pod Security Standards",
    Severity.LOW,
    "Namespace",
    fix="Label it pod-security.kubernetes.io/enforce-version: v1.36, so that upgrades refuse no pods.",
    dev=Enforcement.ADVISORY,
    prod=Enforcement.ADVISORY,
)
def namespace_pod_security_version(subject: KubernetesObject, _options: Options) -> Findings:
    yield from require(
        subject.labels.key(_PSA + "enforce-version"),
        lambda value: bool(_VERSION.match(str(value))),
        "must be a version such as v1.36",
    )


@FAMILY.stack(
    "namespace-own",
    "Objects are in a namespace that the stack declares",
    Severity.MEDIUM,
    fix="Set metadata.namespace to a namespace of the stack: default has no policies or Pod Security labels.",
    references=("CIS 5.7.4", "CKV_K8S_21"),
)
def namespace_own(stack: Stack, _options: Options) -> Findings:
    declared = [item.name for item in stack.of_kind("Namespace")]
    for item in stack.objects:
        if item.namespace == "":
            continue
        field = item.node.at("metadata.namespace")
        if item.namespace in ("default", "kube-public", "kube-system"):
            yield fail(field, f"must not be {item.namespace}", item)
        elif declared:
            answers = [same_name(item.namespace, name) for name in declared]
            yield from require_any(answers, field, f"{item.namespace} is not declared here", item)


@FAMILY.stack(
    "namespace-quota",
    "What the pods of a namespace may take has an end",
    Severity.MEDIUM,
    "Namespace",
    _QUOTA,
    fix="Add a ResourceQuota with pods, requests.cpu and requests.memory.",
    references=("KSV040", "CIS 5.7.1"),
    dev=Enforcement.ADVISORY,
)
def namespace_quota(stack: Stack, _options: Options) -> Findings:
    yield from _has(stack, _QUOTA)


@FAMILY.stack(
    "namespace-limits",
    "Containers that set no limit get the namespace's",
    Severity.LOW,
    "Namespace",
    _LIMITS,
    fix="Add a LimitRange with defaults for containers.",
    references=("KSV039",),
    dev=Enforcement.ADVISORY,
)
def namespace_limits(stack: Stack, _options: Options) -> Findings:
    yield from _has(stack, _LIMITS)


def _has(stack: Stack, kind: str) -> Findings:
    """Each namespace of the stack that has pods also has an object of a kind."""
    for namespace in stack.of_kind("Namespace"):
        if any(stack.pods_in(namespace.name)):
            answers = [same_name(item.namespace, namespace.name) for item in stack.of_kind(kind)]
            yield from require_any(answers, namespace.node.at("metadata.name"), f"has no {kind}", namespace)
