# ruff: noqa: D103 - a rule's title, beside its function, says what it checks
"""Hardening of containers and pods beyond the Pod Security Standards."""

from __future__ import annotations

from typing import Final

from policies.family import Family
from policies.node import UNKNOWN, Node, first_present
from policies.objects import BATCH_KINDS, POD_KINDS, Name, Pod, Stack, same_name
from policies.quantity import is_positive
from policies.rule import Enforcement, Findings, Options, Severity, fail, forbid, require

FAMILY: Final = Family("hardening", "Container and pod hardening")

_LOWEST_ID: Final = 10_000
_LOWEST_PORT: Final = 1024
_BINDINGS: Final = (
    "RoleBinding.rbac.authorization.k8s.io",
    "ClusterRoleBinding.rbac.authorization.k8s.io",
)


@FAMILY.pod(
    "read-only-root-fs",
    "Containers can't write to their image's file system",
    Severity.HIGH,
    fix="Set securityContext.readOnlyRootFilesystem: true and mount an emptyDir where the program writes.",
    references=("Kubescape C-0017", "KSV014", "CKV_K8S_22"),
)
def read_only_root_fs(pod: Pod, _options: Options) -> Findings:
    for container in pod.containers():
        yield from require(
            container.at("securityContext.readOnlyRootFilesystem"),
            lambda value: value is True,
            "must be true",
        )


@FAMILY.pod(
    "high-uid",
    "Containers run as a user and group of 10000 or more",
    Severity.MEDIUM,
    fix="Set runAsUser and runAsGroup to 10000 or more: lower ids may mean somebody on the node.",
    references=("KSV020", "KSV021", "CKV_K8S_40"),
)
def high_uid(pod: Pod, _options: Options) -> Findings:
    for container in pod.containers():
        for name in ("runAsUser", "runAsGroup"):
            path = f"securityContext.{name}"
            effective = first_present(container.at(path), pod.spec.at(path))
            high = (effective.integer() or 0) >= _LOWEST_ID
            yield from require(effective, lambda _, high=high: high, f"must be {_LOWEST_ID} or more")


@FAMILY.stack(
    "service-account-token",
    "Only pods whose service account has a role get its token",
    Severity.HIGH,
    *sorted(POD_KINDS),
    "ServiceAccount",
    *_BINDINGS,
    fix="Set automountServiceAccountToken: false on the pod or its account, or bind a role to the account.",
    references=("CIS 5.1.6", "Kubescape C-0034", "KSV036"),
)
def service_account_token(stack: Stack, _options: Options) -> Findings:
    for pod in stack.pods:
        mounts = first_present(pod.spec.at("automountServiceAccountToken"), _mounts_by_account(stack, pod))
        if mounts.value is False or _has_role(stack, pod) is True:
            continue
        uncertain = mounts.unknown or pod.spec.at("serviceAccountName").unknown
        field = Node(UNKNOWN if uncertain else True, pod.spec.key("automountServiceAccountToken").path)
        yield fail(
            field, "gives the pod a token for the Kubernetes API, which no role lets it use", pod.owner
        )


def _account(pod: Pod) -> Name:
    node = pod.spec.at("serviceAccountName")
    return UNKNOWN if node.unknown else node.text() or "default"


def _mounts_by_account(stack: Stack, pod: Pod) -> Node:
    """The account's own automountServiceAccountToken; absent when the stack doesn't declare the account."""
    name = _account(pod)
    for account in stack.of_kind("ServiceAccount"):
        if same_name(account.name, name) and same_name(account.namespace, pod.owner.namespace):
            return account.node.at("automountServiceAccountToken")
    return Node(None)


def _has_role(stack: Stack, pod: Pod) -> bool:
    """A binding of the stack surely names the pod's account."""
    name = pod.spec.at(
        "serviceAccountName"
    ).text()  # one that is unknown, or default, is nobody's in particular
    return name is not None and any(
        subject.at("kind").value == "ServiceAccount"
        and subject.at("name").value == name
        and same_name(subject.at("namespace").value or binding.namespace, pod.owner.namespace)
        for binding in stack.of_kind(*_BINDINGS)
        for subject in binding.node.at("subjects").items()
    )


@FAMILY.pod(
    "service-account",
    "Every workload has a service account of its own",
    Severity.MEDIUM,
    fix="Name a ServiceAccount other than default in serviceAccountName.",
    references=("CIS 5.1.5", "CKV_K8S_41"),
)
def service_account(pod: Pod, _options: Options) -> Findings:
    yield from require(
        pod.spec.at("serviceAccountName"), lambda value: value != "default", "must name an account of its own"
    )


@FAMILY.pod(
    "empty-dir-limit",
    "Scratch volumes have a size limit",
    Severity.MEDIUM,
    fix="Set emptyDir.sizeLimit: without one a pod can fill the node's disk or memory.",
    references=("Kyverno require-emptydir-requests-limits",),
)
def empty_dir_limit(pod: Pod, _options: Options) -> Findings:
    for volume in pod.spec.at("volumes").items():
        scratch = volume.at("emptyDir")
        if not scratch.absent:
            yield from require(scratch.at("sizeLimit"), is_positive, "must be set: 0 is no limit")


@FAMILY.pod(
    "no-host-aliases",
    "Pods don't rewrite name resolution",
    Severity.LOW,
    fix="Remove hostAliases; use a Service, or an ExternalName Service.",
    references=("KSV007",),
)
def no_host_aliases(pod: Pod, _options: Options) -> Findings:
    yield from forbid(pod.spec.at("hostAliases"), bool, "hides where the pod's traffic goes")


@FAMILY.pod(
    "no-service-links",
    "Pods don't get every Service's address in their environment",
    Severity.LOW,
    fix="Set enableServiceLinks: false; names such as REDIS_PORT would otherwise appear as settings.",
    dev=Enforcement.ADVISORY,
    prod=Enforcement.ADVISORY,
)
def no_service_links(pod: Pod, _options: Options) -> Findings:
    if pod.owner.kind not in BATCH_KINDS:
        yield from require(pod.spec.at("enableServiceLinks"), lambda value: value is False, "must be false")


@FAMILY.pod(
    "unprivileged-ports",
    "Containers listen on ports that need no privilege",
    Severity.LOW,
    fix="Listen on 1024 or above; the Service may have another port.",
    references=("KSV117",),
)
def unprivileged_ports(pod: Pod, _options: Options) -> Findings:
    for container in pod.containers():
        for port in container.at("ports").items():
            number = port.key("containerPort")
            low = (number.integer() or _LOWEST_PORT) < _LOWEST_PORT
            yield from forbid(number, lambda _, low=low: low, f"must be {_LOWEST_PORT} or more")
