# ruff: noqa: D103 - a rule's title, beside its function, says what it checks
"""Namespaces: Pod Security admission, and that objects are in one of their own."""

from __future__ import annotations

import re
from typing import Final

from policies.family import Family
from policies.objects import KubernetesObject, Stack, same_name
from policies.rule import Enforcement, Findings, Options, Severity, fail, require, require_any

FAMILY: Final = Family("namespace", "Namespaces")

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
