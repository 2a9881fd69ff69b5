# ruff: noqa: D103 - a rule's title, beside its function, says what it checks
"""Istio: mutual TLS everywhere, and nothing allowed that isn't named.

A namespace is in the mesh when its label says so; stacks without one are outside of these rules.
"""

from __future__ import annotations

from typing import Final

from policies.family import Family
from policies.matching import every, matches_labels
from policies.mesh_membership import spaces
from policies.node import UNKNOWN, Node
from policies.objects import KubernetesObject, Stack, same_name
from policies.operators import matches_managed
from policies.rule import Findings, Options, Severity, about, fail, forbid, require, require_any

_OWN_TLS: Final = ("5432", "8000")
"""Ports of CloudNativePG's instances, at which they have certificates of their own."""

FAMILY: Final = Family("mesh", "Service mesh", together="mesh")

_PEERS: Final = "PeerAuthentication.security.istio.io"
_AUTHORIZATION: Final = "AuthorizationPolicy.security.istio.io"
_SELECTORS: Final = ("selector", "targetRef", "targetRefs")
_TLS_ONLY: Final = ("STRICT", "UNSET")
_NAME: Final = "app.kubernetes.io/name"
_EVERYWHERE: Final = ("0.0.0.0/0", "::/0")


def _whole_namespace(policy: KubernetesObject) -> bool | None:
    """A policy of Istio's is about every workload of its namespace."""
    return every(
        None if node.unknown else not node.value
        for node in (policy.node.at("spec").key(name) for name in _SELECTORS)
    )


@FAMILY.stack(
    "mesh-mtls",
    "Every namespace of the mesh takes nothing but mutual TLS",
    Severity.HIGH,
    "Namespace",
    _PEERS,
    fix="Add a PeerAuthentication without selector, spec.mtls.mode: STRICT, to the namespace.",
    references=("Kyverno: istio-enforce-strict-mtls", "NSA: encrypt traffic"),
)
def mesh_mtls(stack: Stack, _options: Options) -> Findings:
    for space in spaces(stack):
        answers = [
            every(
                [
                    same_name(peers.namespace, space.name),
                    _whole_namespace(peers),
                    _strict(peers.node.at("spec.mtls.mode")),
                ]
            )
            for peers in stack.of_kind(_PEERS)
        ]
        yield from require_any(answers, space.labels, "nothing enforces mutual TLS here", space)


def _strict(mode: Node) -> bool | None:
    return None if mode.unknown else mode.value == "STRICT"


@FAMILY.stack(
    "mesh-mtls-everywhere",
    "Plain text is taken by the front door and for metrics only",
    Severity.HIGH,
    _PEERS,
    fix="Use STRICT; by portLevelMtls, an exposed service and the ports of metrics may be PERMISSIVE.",
    references=("Kyverno: istio-enforce-strict-mtls",),
    settings=("exposed_services", "metrics_ports"),
)
def mesh_mtls_everywhere(stack: Stack, options: Options) -> Findings:
    for peers in stack.of_kind(_PEERS):
        mode = peers.node.at("spec.mtls.mode")
        yield from about(peers, forbid(mode, lambda value: value not in _TLS_ONLY, "must be STRICT"))
        for port, mtls in peers.node.at("spec.portLevelMtls").entries():
            mode = mtls.key("mode")
            if mode.value == "PERMISSIVE" and _may_be_plain(peers, port, stack, options):
                continue
            yield from about(peers, forbid(mode, lambda value: value not in _TLS_ONLY, "must be STRICT"))


def _may_be_plain(peers: KubernetesObject, port: str, stack: Stack, options: Options) -> bool:
    """It is the front door's, for metrics of all pods that it is about, or Postgres' with TLS of its own."""
    wanted = peers.node.at("spec.selector.matchLabels")
    if wanted.key(_NAME).value in options.exposed_services:
        return True
    ports = [
        item
        for pod in stack.pods_in(peers.namespace)
        if matches_labels(wanted, pod.metadata.at("labels")) is not False
        for container in pod.lasting_containers()
        for item in container.at("ports").items()
        if str(item.at("containerPort").value) == port
    ]
    if not ports and port in _OWN_TLS:  # an operator, which is outside of the mesh, asks there
        return any(matches_managed(peers.node.at("spec.selector"), peers.namespace, stack))
    return bool(ports) and all(item.at("name").value in options.metrics_ports for item in ports)


@FAMILY.stack(
    "mesh-default-deny",
    "Every namespace of the mesh allows nothing that isn't named",
    Severity.HIGH,
    "Namespace",
    _AUTHORIZATION,
    fix="Add an AuthorizationPolicy with an empty spec to the namespace.",
    references=("Istio: security best practices",),
)
def mesh_default_deny(stack: Stack, _options: Options) -> Findings:
    for space in spaces(stack):
        answers = [
            every(
                [same_name(policy.namespace, space.name), _whole_namespace(policy), _allows_nothing(policy)]
            )
            for policy in stack.of_kind(_AUTHORIZATION)
        ]
        yield from require_any(answers, space.labels, "no policy denies what isn't allowed", space)


def _allows_nothing(policy: KubernetesObject) -> bool | None:
    action, rules = policy.node.at("spec.action"), policy.node.at("spec.rules")
    if action.unknown or rules.unknown:
        return None
    return action.value in (None, "ALLOW") and not rules.value


@FAMILY.object(
    "mesh-callers-named",
    "Policies of the mesh name whom they allow",
    Severity.HIGH,
    _AUTHORIZATION,
    fix="Name service accounts in from.source.principals (or serviceAccounts), each in full; who is outside "
    'of the mesh is ipBlocks or notPrincipals: ["*"], with ports.',
    references=("Istio: security best practices",),
    settings=("exposed_services",),
)
def mesh_callers_named(subject: KubernetesObject, options: Options) -> Findings:
    if subject.node.at("spec.action").value not in (None, UNKNOWN, "ALLOW"):
        return
    exposed = subject.node.at("spec.selector.matchLabels").key(_NAME).value in options.exposed_services
    for rule in subject.node.at("spec.rules").items():
        yield from require(rule.key("from"), bool, "must name who may call")
        for source in (item.key("source") for item in rule.key("from").items()):
            workloads = [*source.key("principals").items(), *source.key("serviceAccounts").items()]
            callers = [*workloads, *source.key("requestPrincipals").items()]
            if not source.unknown and not callers and not (_outside(source) and _names_ports(rule)):
                yield fail(source, "must name service accounts")
            for name in workloads:
                yield from forbid(name, lambda value: "*" in str(value), "is not one service account")
            for name in source.key("requestPrincipals").items():
                yield from forbid(name, lambda value: str(value) in ("*", "*/*"), "is everybody")
            for block in source.key("ipBlocks").items() if not exposed else ():
                yield from forbid(block, lambda value: value in _EVERYWHERE, "is everybody")


def _outside(source: Node) -> bool:
    """It stands for callers who have no identity in the mesh, whom network policies tell from each other."""
    return bool(source.key("ipBlocks").value) or source.key("notPrincipals").value == ["*"]


def _names_ports(rule: Node) -> bool:
    operations = [item.key("operation") for item in rule.key("to").items()]
    return bool(operations) and all(bool(operation.key("ports").value) for operation in operations)
