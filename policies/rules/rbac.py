# ruff: noqa: D103 - a rule's title, beside its function, says what it checks
"""Roles that give no more than they say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from policies.family import Family
from policies.matching import every
from policies.node import UNKNOWN, Node, Unknown
from policies.objects import KubernetesObject, Stack, same_name
from policies.rule import Enforcement, Findings, Options, Severity, fail, forbid

FAMILY: Final = Family("rbac", "Roles and bindings")

_CLUSTER_ROLE: Final = "ClusterRole.rbac.authorization.k8s.io"
_ROLES: Final = ("Role.rbac.authorization.k8s.io", _CLUSTER_ROLE)
_BINDINGS: Final = (
    "RoleBinding.rbac.authorization.k8s.io",
    "ClusterRoleBinding.rbac.authorization.k8s.io",
)
_AGGREGATED: Final = "rbac.authorization.k8s.io/aggregate-to-"
_WIDE_ROLES: Final = frozenset({"cluster-admin", "admin", "edit", "system:masters"})
_EVERYBODY: Final = frozenset(
    {
        "system:anonymous",
        "system:authenticated",
        "system:masters",
        "system:serviceaccounts",
        "system:unauthenticated",
    }
)


def _rules(subject: KubernetesObject) -> list[Node]:
    return subject.node.at("rules").items()


def _granted(
    subject: KubernetesObject, group: str, resources: frozenset[str], verbs: frozenset[str]
) -> Iterator[tuple[Node, Node]]:
    """The rules with one of `verbs`, and in them the items that name one of `resources` of `group`.

    A wildcard is any of them; an unknown item may be any of them, and is given as it is.
    """
    named = resources | {"*"} | {f"*/{name.partition('/')[2]}" for name in resources if "/" in name}
    for rule in _rules(subject):
        groups = rule.at("apiGroups").items()
        if not any(item.unknown or item.value in (group, "*") for item in groups):
            continue
        verb = next(
            (item for item in rule.at("verbs").items() if item.unknown or item.text() in verbs | {"*"}), None
        )
        if verb is None:
            continue
        for resource in rule.at("resources").items():
            if resource.unknown or resource.text() in named:
                yield rule, verb if verb.unknown else resource


@FAMILY.object(
    "rbac-no-wildcard",
    "Roles name their verbs, resources and API groups",
    Severity.HIGH,
    *_ROLES,
    fix="List what is needed instead of *.",
    references=("CIS 5.1.3", "KSV044", "KSV045", "KSV046", "CKV_K8S_49"),
)
def rbac_no_wildcard(subject: KubernetesObject, _options: Options) -> Findings:
    yield from forbid(subject.node.at("aggregationRule"), bool, "takes in whatever other roles have")
    for rule in _rules(subject):
        for field in ("verbs", "resources", "apiGroups", "nonResourceURLs"):
            for item in rule.key(field).items():
                yield from forbid(item, lambda value: "*" in str(value), "must not be a wildcard")


@FAMILY.object(
    "rbac-no-admin",
    "Nobody is bound to cluster-admin, admin or edit",
    Severity.CRITICAL,
    *_BINDINGS,
    fix="Bind a role that names what is needed.",
    references=("CIS 5.1.1", "KSV111", "Kubescape C-0035"),
)
def rbac_no_admin(subject: KubernetesObject, _options: Options) -> Findings:
    name = subject.node.at("roleRef.name")
    if name.unknown or name.text() in _WIDE_ROLES:
        yield fail(name, "gives far more than one service needs")


@FAMILY.object(
    "rbac-no-secrets",
    "Roles can't read Secrets",
    Severity.CRITICAL,
    *_ROLES,
    fix="Mount the one Secret that is needed, or name it in resourceNames with the verb get.",
    references=("CIS 5.1.2", "KSV041", "KSV113", "Kubescape C-0015"),
)
def rbac_no_secrets(subject: KubernetesObject, _options: Options) -> Findings:
    for rule, item in _granted(subject, "", frozenset({"secrets"}), frozenset({"get", "list", "watch"})):
        verbs = {verb.text() for verb in rule.at("verbs").items()}
        named = bool(rule.at("resourceNames").items())
        if not (named and verbs <= {"get", "update", "patch"}):
            yield fail(item, "lets the role read secrets")


@FAMILY.object(
    "rbac-no-escalation",
    "Roles can't hand out rights that they don't have",
    Severity.CRITICAL,
    *_ROLES,
    fix="Remove the verbs escalate, bind and impersonate.",
    references=("CIS 5.1.8", "KSV043", "CKV_K8S_157", "CKV_K8S_158"),
)
def rbac_no_escalation(subject: KubernetesObject, _options: Options) -> Findings:
    for rule in _rules(subject):
        for verb in rule.at("verbs").items():
            yield from forbid(
                verb, lambda value: value in ("escalate", "bind", "impersonate"), "lets the role widen itself"
            )


@FAMILY.object(
    "rbac-no-credentials",
    "Roles can't make credentials of others",
    Severity.CRITICAL,
    *_ROLES,
    fix="Remove serviceaccounts/token, and the approval and signing of certificates.",
    references=("CIS 5.1.11", "CIS 5.1.13", "KSV-0120"),
)
def rbac_no_credentials(subject: KubernetesObject, _options: Options) -> Findings:
    tokens = _granted(subject, "", frozenset({"serviceaccounts/token"}), frozenset({"create"}))
    requests = frozenset({"certificatesigningrequests/approval", "certificatesigningrequests/status"})
    certificates = _granted(subject, "certificates.k8s.io", requests, frozenset({"patch", "update"}))
    signing = _granted(subject, "certificates.k8s.io", frozenset({"signers"}), frozenset({"approve", "sign"}))
    for _, item in (*tokens, *certificates, *signing):
        yield fail(item, "lets the role become somebody else")


@FAMILY.object(
    "rbac-no-exec",
    "Roles can't run commands in pods or open tunnels to them",
    Severity.HIGH,
    *_ROLES,
    fix="Remove pods/exec, pods/attach, pods/portforward and nodes/proxy.",
    references=("KSV053", "Kubescape C-0002", "CIS 5.1.10"),
)
def rbac_no_exec(subject: KubernetesObject, _options: Options) -> Findings:
    tunnels = frozenset(
        {"pods/exec", "pods/attach", "pods/portforward", "pods/ephemeralcontainers", "nodes/proxy"}
    )
    for _, item in _granted(subject, "", tunnels, frozenset({"create", "get", "update", "patch"})):
        yield fail(item, "lets the role get into pods")


@FAMILY.object(
    "rbac-no-admission-config",
    "Roles can't change admission webhooks and policies",
    Severity.HIGH,
    *_ROLES,
    fix="Leave admission configuration to the cluster's administrators.",
    references=("KSV114", "CKV_K8S_155", "CIS 5.1.12"),
)
def rbac_no_admission_config(subject: KubernetesObject, _options: Options) -> Findings:
    kinds = frozenset(
        {
            "mutatingwebhookconfigurations",
            "validatingadmissionpolicies",
            "validatingadmissionpolicybindings",
            "validatingwebhookconfigurations",
        }
    )
    writes = frozenset({"create", "update", "patch", "delete", "deletecollection"})
    for _, item in _granted(subject, "admissionregistration.k8s.io", kinds, writes):
        yield fail(item, "lets the role switch admission control off")


@FAMILY.object(
    "rbac-no-everybody",
    "Bindings name somebody, not everybody",
    Severity.CRITICAL,
    *_BINDINGS,
    fix="Bind to one service account.",
    references=("CIS 5.1.7", "KSV122", "KSV123", "Kubescape C-0262"),
)
def rbac_no_everybody(subject: KubernetesObject, _options: Options) -> Findings:
    for bound in subject.node.at("subjects").items():
        yield from forbid(
            bound.at("name"),
            lambda value: (
                str(value).partition(":serviceaccounts:")[0] in _EVERYBODY
                or str(value).startswith("system:serviceaccounts")
            ),
            "stands for many, or for nobody known",
        )


@FAMILY.stack(
    "rbac-role-over-cluster-role",
    "What is granted in one namespace is a Role of that namespace",
    Severity.LOW,
    _CLUSTER_ROLE,
    fix="Make it a Role: a ClusterRole can be bound to the whole cluster by whoever may bind.",
    references=("CIS 5.1.3", "Kubernetes: RBAC good practices, least privilege"),
    dev=Enforcement.ADVISORY,
    prod=Enforcement.ADVISORY,
)
def rbac_role_over_cluster_role(stack: Stack, _options: Options) -> Findings:
    for role in stack.of_kind(_CLUSTER_ROLE):
        aggregated = any(name.startswith(_AGGREGATED) for name, _ in role.labels.entries())
        bindings = [item for item in stack.of_kind(*_BINDINGS) if _binds(item, role) is not False]
        whole = any(item.kind != _BINDINGS[0] for item in bindings)
        if aggregated or whole or not bindings:
            continue  # it is part of another, concerns the cluster, or is bound by who knows whom
        first = bindings[0]
        alike = every(same_name(first.namespace, item.namespace) for item in bindings)
        sure = every([alike, *(_binds(item, role) for item in bindings), _is_labelled(role)])
        if sure is not False:
            place = role.node.at("kind")
            yield fail(
                Node(UNKNOWN, place.path) if sure is None else place, "is bound in one namespace only", role
            )


def _binds(binding: KubernetesObject, role: KubernetesObject) -> bool | None:
    kind, name = binding.node.at("roleRef.kind"), binding.node.at("roleRef.name")
    if kind.unknown or name.unknown or isinstance(role.name, Unknown):
        return None
    return kind.text() == "ClusterRole" and name.text() == role.name


def _is_labelled(role: KubernetesObject) -> bool | None:
    """None where its labels, which may make it part of another role, are not known yet."""
    return None if role.labels.unknown else True
