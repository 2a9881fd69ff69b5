# ruff: noqa: D103 - a rule's title, beside its function, says what it checks
"""What fits how a namespace is in the mesh: by the proxies of its nodes and a waypoint, or by sidecars."""

from __future__ import annotations

from typing import Final

from policies.family import Family
from policies.matching import every, some
from policies.mesh_membership import (
    AMBIENT_LABEL,
    SIDECAR_LABEL,
    TUNNEL_PORT,
    WAYPOINT_LABEL,
    has_sidecars,
    is_ambient,
    spaces,
)
from policies.node import UNKNOWN, Node
from policies.objects import KubernetesObject, Stack, same_name
from policies.rule import Findings, Options, Severity, fail, require_any

FAMILY: Final = Family("mesh-mode", "Modes of the service mesh", together="mesh")

_AUTHORIZATION: Final = "AuthorizationPolicy.security.istio.io"
_VIRTUAL_SERVICE: Final = "VirtualService.networking.istio.io"
_GATEWAY: Final = "Gateway.gateway.networking.k8s.io"
_NETWORK_POLICY: Final = "NetworkPolicy.networking.k8s.io"
_WAYPOINT_CLASS: Final = "istio-waypoint"
_REQUEST_FIELDS: Final = ("hosts", "methods", "notHosts", "notMethods", "notPaths", "paths")
_CALLER_FIELDS: Final = ("notRequestPrincipals", "requestPrincipals")


@FAMILY.stack(
    "mesh-requests-at-waypoint",
    "Policies that look into requests are enforced where requests are seen",
    Severity.HIGH,
    _AUTHORIZATION,
    fix="In an ambient mesh name a Service in targetRefs, and let it or the namespace have a waypoint.",
    references=("Istio: ambient, L7 authorization needs a waypoint",),
)
def mesh_requests_at_waypoint(stack: Stack, _options: Options) -> Findings:
    for space in spaces(stack, ambient=True):
        for policy in stack.of_kind(_AUTHORIZATION):
            if same_name(policy.namespace, space.name) is False or not _looks_into_requests(policy):
                continue
            targets = policy.node.at("spec.targetRefs")
            if is_ambient(space) is None or targets.unknown:
                yield fail(Node(UNKNOWN, targets.path), "must name a Service", policy)
            elif not targets.items():
                yield fail(
                    targets, "must name a Service: ztunnel sees no requests and denies them all", policy
                )
            else:
                waypoint = space.labels.key(WAYPOINT_LABEL)
                yield from require_any(
                    [
                        _has_value(waypoint),
                        every(_has_waypoint(target, policy, stack) for target in targets.items()),
                    ],
                    waypoint,
                    "must name the waypoint that looks into requests",
                    space,
                )


def _has_value(waypoint: Node) -> bool | None:
    return None if waypoint.unknown else waypoint.value not in (None, "", "none")


def _has_waypoint(target: Node, policy: KubernetesObject, stack: Stack) -> bool | None:
    """It is a waypoint, or a Service whose label names one."""
    if target.key("kind").value == "Gateway":
        return True
    name = target.key("name")
    wanted = UNKNOWN if name.unknown else str(name.value)
    answers = [
        every(
            [
                same_name(service.namespace, policy.namespace),
                same_name(service.name, wanted),
                _has_value(service.labels.key(WAYPOINT_LABEL)),
            ]
        )
        for service in stack.of_kind("Service")
    ]
    return some(answers)


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
    "A waypoint that a label names is there",
    Severity.HIGH,
    "Namespace",
    "Service",
    _GATEWAY,
    fix="Add a Gateway of the class istio-waypoint with the name that the label has.",
)
def mesh_waypoint_exists(stack: Stack, _options: Options) -> Findings:
    for named in stack.of_kind("Namespace", "Service"):
        waypoint = named.labels.key(WAYPOINT_LABEL)
        if waypoint.absent or waypoint.value == "none":
            continue
        space = named.name if named.kind == "Namespace" else named.namespace
        answers = [
            every(
                [
                    same_name(gateway.namespace, space),
                    same_name(gateway.name, UNKNOWN if waypoint.unknown else str(waypoint.value)),
                    _is_waypoint(gateway.node.at("spec.gatewayClassName")),
                ]
            )
            for gateway in stack.of_kind(_GATEWAY)
        ]
        yield from require_any(answers, waypoint, "is no waypoint of the namespace", named)


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
    both = every([is_ambient(subject), has_sidecars(subject)])
    if both is not False:
        label = subject.labels.key(SIDECAR_LABEL)
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
    for space in spaces(stack, ambient=True):
        for route in stack.of_kind(_VIRTUAL_SERVICE):
            same = every([same_name(route.namespace, space.name), is_ambient(space)])
            if same is not False:
                place = route.node.key("kind")
                yield fail(place if same else Node(UNKNOWN, place.path), "has no place in this mode", route)


@FAMILY.stack(
    "mesh-tunnel-open",
    "Network policies let the ambient mesh's tunnel through",
    Severity.HIGH,
    _NETWORK_POLICY,
    fix=f"Allow TCP port {TUNNEL_PORT} to the namespace's pods: in an ambient mesh all traffic comes by it.",
    references=("Istio: ambient and Kubernetes NetworkPolicy",),
)
def mesh_tunnel_open(stack: Stack, _options: Options) -> Findings:
    for space in spaces(stack, ambient=True):
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
            answers = [None if port.unknown else port.value == TUNNEL_PORT for port in ports]
            yield from require_any(
                answers, space.labels.key(AMBIENT_LABEL), f"nothing lets port {TUNNEL_PORT} in", space
            )
