# ruff: noqa: D103 - a rule's title, beside its function, says what it checks
"""Istio: mutual TLS everywhere, nothing allowed that isn't named, and modes that fit together.

A namespace is in the mesh when its label says so; stacks without one are outside of these rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from policies.family import Family
from policies.matching import every
from policies.node import UNKNOWN, Node
from policies.objects import KubernetesObject, Stack, same_name
from policies.rule import Findings, Options, Severity, fail, forbid, require, require_any

FAMILY: Final = Family("mesh", "Service mesh", together="mesh")

AMBIENT_LABEL: Final = "istio.io/dataplane-mode"
_SIDECAR_LABEL: Final = "istio-injection"
_WAYPOINT_LABEL: Final = "istio.io/use-waypoint"
_PEERS: Final = "PeerAuthentication.security.istio.io"
_AUTHORIZATION: Final = "AuthorizationPolicy.security.istio.io"
_VIRTUAL_SERVICE: Final = "VirtualService.networking.istio.io"
_GATEWAY: Final = "Gateway.gateway.networking.k8s.io"
_NETWORK_POLICY: Final = "NetworkPolicy.networking.k8s.io"
_WAYPOINT_CLASS: Final = "istio-waypoint"
_HBONE_PORT: Final = 15008
_SELECTORS: Final = ("selector", "targetRef", "targetRefs")
_REQUEST_FIELDS: Final = ("hosts", "methods", "notHosts", "notMethods", "notPaths", "paths")
_CALLER_FIELDS: Final = ("notRequestPrincipals", "requestPrincipals")


def _ambient(space: KubernetesObject) -> bool | None:
    label = space.labels.key(AMBIENT_LABEL)
    return None if label.unknown else label.value == "ambient"


def _with_sidecars(space: KubernetesObject) -> bool | None:
    label = space.labels.key(_SIDECAR_LABEL)
    return None if label.unknown else label.value == "enabled"


def _spaces(stack: Stack, *, ambient: bool = False) -> Iterator[KubernetesObject]:
    """The namespaces that are, or may be, in the mesh; or those with an ambient mesh."""
    for space in stack.of_kind("Namespace"):
        if _ambient(space) is not False or (not ambient and _with_sidecars(space) is not False):
            yield space


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
    for space in _spaces(stack):
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


@FAMILY.object(
    "mesh-mtls-everywhere",
    "No workload or port is let off mutual TLS",
    Severity.HIGH,
    _PEERS,
    fix="Use STRICT; what can't speak mutual TLS gets a namespace outside of the mesh.",
    references=("Kyverno: istio-enforce-strict-mtls",),
)
def mesh_mtls_everywhere(subject: KubernetesObject, _options: Options) -> Findings:
    ports = [mtls.key("mode") for _, mtls in subject.node.at("spec.portLevelMtls").entries()]
    for mode in (subject.node.at("spec.mtls.mode"), *ports):
        yield from forbid(mode, lambda value: value not in ("STRICT", "UNSET"), "must be STRICT")


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
    for space in _spaces(stack):
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
    fix="Name service accounts in from.source.principals (or serviceAccounts), each in full.",
    references=("Istio: security best practices",),
)
def mesh_callers_named(subject: KubernetesObject, _options: Options) -> Findings:
    if subject.node.at("spec.action").value not in (None, UNKNOWN, "ALLOW"):
        return
    for rule in subject.node.at("spec.rules").items():
        yield from require(rule.key("from"), bool, "must name who may call")
        for source in (item.key("source") for item in rule.key("from").items()):
            callers = [
                name
                for field in ("principals", "requestPrincipals", "serviceAccounts")
                for name in source.key(field).items()
            ]
            if not source.unknown and not callers:
                yield fail(source, "must name service accounts")
            for name in callers:
                yield from forbid(name, lambda value: str(value) in ("*", "*/*"), "is everybody")


@FAMILY.stack(
    "mesh-requests-at-waypoint",
    "Policies that look into requests are enforced where requests are seen",
    Severity.HIGH,
    _AUTHORIZATION,
    fix="In an ambient mesh name a Service in targetRefs, and let the namespace have a waypoint.",
    references=("Istio: ambient, L7 authorization needs a waypoint",),
)
def mesh_requests_at_waypoint(stack: Stack, _options: Options) -> Findings:
    for space in _spaces(stack, ambient=True):
        for policy in stack.of_kind(_AUTHORIZATION):
            if same_name(policy.namespace, space.name) is False or not _looks_into_requests(policy):
                continue
            targets = policy.node.at("spec.targetRefs")
            if _ambient(space) is None or targets.unknown:
                yield fail(Node(UNKNOWN, targets.path), "must name a Service", policy)
            elif not targets.items():
                yield fail(
                    targets, "must name a Service: ztunnel sees no requests and denies them all", policy
                )
            else:
                waypoint = space.labels.key(_WAYPOINT_LABEL)
                yield from require_any(
                    [None if waypoint.unknown else bool(waypoint.value)],
                    waypoint,
                    "must name the waypoint that looks into requests",
                    space,
                )


def _looks_into_requests(policy: KubernetesObject) -> bool:
    """Something that only a proxy for HTTP can decide; an unknown may be."""
    for rule in policy.node.at("spec.rules").items():
        operations = [item.key("operation") for item in rule.key("to").items()]
        sources = [item.key("source") for item in rule.key("from").items()]
        fields = [operation.key(name) for operation in operations for name in _REQUEST_FIELDS]
        fields += [source.key(name) for source in sources for name in _CALLER_FIELDS]
        if any(not node.absent for node in fields):
            return True
    return False


@FAMILY.stack(
    "mesh-waypoint-exists",
    "A namespace's waypoint is there",
    Severity.HIGH,
    "Namespace",
    _GATEWAY,
    fix="Add a Gateway of the class istio-waypoint with the name that the label has.",
)
def mesh_waypoint_exists(stack: Stack, _options: Options) -> Findings:
    for space in stack.of_kind("Namespace"):
        waypoint = space.labels.key(_WAYPOINT_LABEL)
        if waypoint.absent or waypoint.value == "none":
            continue
        answers = [
            every(
                [
                    same_name(gateway.namespace, space.name),
                    same_name(gateway.name, UNKNOWN if waypoint.unknown else str(waypoint.value)),
                    _is_waypoint(gateway.node.at("spec.gatewayClassName")),
                ]
            )
            for gateway in stack.of_kind(_GATEWAY)
        ]
        yield from require_any(answers, waypoint, "is no waypoint of the namespace", space)


def _is_waypoint(name: Node) -> bool | None:
    return None if name.unknown else name.value == _WAYPOINT_CLASS


@FAMILY.object(
    "mesh-one-mode",
    "A namespace is in the mesh in one way",
    Severity.MEDIUM,
    "Namespace",
    fix="Use either istio.io/dataplane-mode: ambient or istio-injection: enabled.",
)
def mesh_one_mode(subject: KubernetesObject, _options: Options) -> Findings:
    both = every([_ambient(subject), _with_sidecars(subject)])
    if both is not False:
        label = subject.labels.key(_SIDECAR_LABEL)
        yield fail(label if both else Node(UNKNOWN, label.path), "is set beside the ambient mode's label")


@FAMILY.stack(
    "mesh-routes-fit-mode",
    "Ambient namespaces route by the Gateway API",
    Severity.MEDIUM,
    _VIRTUAL_SERVICE,
    fix="Use HTTPRoute: VirtualService is alpha in an ambient mesh, and the two can't be mixed.",
    references=("Istio: ambient, traffic management",),
)
def mesh_routes_fit_mode(stack: Stack, _options: Options) -> Findings:
    for space in _spaces(stack, ambient=True):
        for route in stack.of_kind(_VIRTUAL_SERVICE):
            same = every([same_name(route.namespace, space.name), _ambient(space)])
            if same is not False:
                place = route.node.key("kind")
                yield fail(place if same else Node(UNKNOWN, place.path), "has no place in this mode", route)


@FAMILY.stack(
    "mesh-tunnel-open",
    "Network policies let the ambient mesh's tunnel through",
    Severity.HIGH,
    _NETWORK_POLICY,
    fix=f"Allow TCP port {_HBONE_PORT} to the namespace's pods: in an ambient mesh all traffic comes by it.",
    references=("Istio: ambient and Kubernetes NetworkPolicy",),
)
def mesh_tunnel_open(stack: Stack, _options: Options) -> Findings:
    for space in _spaces(stack, ambient=True):
        policies = [
            policy
            for policy in stack.of_kind(_NETWORK_POLICY)
            if same_name(policy.namespace, space.name) is not False
        ]
        ports = [
            port.key("port")
            for policy in policies
            for rule in policy.node.at("spec.ingress").items()
            for port in rule.key("ports").items()
        ]
        if policies:
            answers = [None if port.unknown else port.value == _HBONE_PORT for port in ports]
            yield from require_any(
                answers, space.labels.key(AMBIENT_LABEL), f"nothing lets port {_HBONE_PORT} in", space
            )
