# ruff: noqa: D103 - a rule's title, beside its function, says what it checks
"""Routes and front doors: the Gateway API, and Istio's own routes where sidecars are used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from policies.family import Family
from policies.matching import equals, every
from policies.node import UNKNOWN, Node
from policies.objects import KubernetesObject, Stack, same_name
from policies.rule import Findings, Options, Severity, about, forbid, require, require_any

FAMILY: Final = Family("edge", "Routes and front doors", together="mesh")

_GATEWAY: Final = "Gateway.gateway.networking.k8s.io"
_ROUTE: Final = "HTTPRoute.gateway.networking.k8s.io"
_VIRTUAL_SERVICE: Final = "VirtualService.networking.istio.io"
_DESTINATION: Final = "DestinationRule.networking.istio.io"
_WAYPOINT_CLASS: Final = "istio-waypoint"


@FAMILY.stack(
    "gateway-tls",
    "The front door speaks TLS, and nothing else but a redirect to it",
    Severity.HIGH,
    _GATEWAY,
    _ROUTE,
    fix="Use protocol HTTPS with certificateRefs; on an HTTP listener, only routes that redirect to https.",
    references=("Gateway API: TLS",),
)
def gateway_tls(stack: Stack, _options: Options) -> Findings:
    for gateway in stack.of_kind(_GATEWAY):
        if gateway.node.at("spec.gatewayClassName").value == _WAYPOINT_CLASS:
            continue  # reached by mutual TLS only
        for listener in gateway.node.at("spec.listeners").items():
            yield from about(gateway, _speaks_tls(stack, gateway, listener))


def _speaks_tls(stack: Stack, gateway: KubernetesObject, listener: Node) -> Findings:
    protocol, tls = listener.key("protocol"), listener.key("tls")
    if protocol.value == "HTTP":
        answers = [
            _sends_to_tls(route) for route in stack.of_kind(_ROUTE) if _hangs_on(route, gateway, listener)
        ]
        redirects = every(answers) if answers else False
        yield from require_any([redirects], protocol, "must be HTTPS or TLS, or redirect to https")
        return
    yield from require(protocol, lambda value: value in ("HTTPS", "TLS"), "must be HTTPS or TLS")
    if protocol.value in ("HTTPS", "TLS") and tls.key("mode").value != "Passthrough":
        yield from require(tls.key("certificateRefs"), bool, "must name a certificate")


def _hangs_on(route: KubernetesObject, gateway: KubernetesObject, listener: Node) -> bool:
    """Whether a route is, or may be, one of a listener's."""
    return any(
        every(
            [
                same_name(gateway.namespace, route.namespace),
                equals(parent.key("name"), gateway.node.at("metadata.name")),
                parent.key("sectionName").absent or equals(parent.key("sectionName"), listener.key("name")),
            ]
        )
        is not False
        for parent in route.node.at("spec.parentRefs").items()
        if parent.key("kind").value in (None, UNKNOWN, "Gateway")
    )


def _sends_to_tls(route: KubernetesObject) -> bool | None:
    """Whether all that a route does is to redirect to https; one without rules does nothing."""
    schemes = [
        [item.at("requestRedirect.scheme") for item in rule.key("filters").items()] for rule in _rules(route)
    ]
    return every(
        None if any(scheme.unknown for scheme in of_rule) else "https" in [scheme.value for scheme in of_rule]
        for of_rule in schemes
    )


@FAMILY.object(
    "gateway-namespaces",
    "Only routes of chosen namespaces are taken in at the front door",
    Severity.MEDIUM,
    _GATEWAY,
    fix="Set allowedRoutes.namespaces.from to Same or Selector.",
)
def gateway_namespaces(subject: KubernetesObject, _options: Options) -> Findings:
    for listener in subject.node.at("spec.listeners").items():
        yield from forbid(
            listener.at("allowedRoutes.namespaces.from"),
            lambda value: value == "All",
            "lets anybody's routes in",
        )


@FAMILY.object(
    "route-hosts-named",
    "Routes are for hosts that they name",
    Severity.MEDIUM,
    _VIRTUAL_SERVICE,
    fix="List the hosts instead of *.",
)
def route_hosts_named(subject: KubernetesObject, _options: Options) -> Findings:
    hosts = subject.node.at("spec.hosts")
    yield from require(hosts, bool, "must be set")
    for host in hosts.items():
        yield from forbid(host, lambda value: str(value).startswith("*"), "takes in other hosts' requests")


@FAMILY.stack(
    "route-hostnames-named",
    "Routes at the front door are for hosts that they name",
    Severity.MEDIUM,
    _ROUTE,
    fix="Set hostnames, without a wildcard, on routes that hang on a Gateway.",
)
def route_hostnames_named(stack: Stack, _options: Options) -> Findings:
    for route in stack.of_kind(_ROUTE):
        parents = route.node.at("spec.parentRefs").items()
        if not any(parent.key("kind").value in (None, UNKNOWN, "Gateway") for parent in parents):
            continue  # of a Service: the mesh's own traffic
        hosts = route.node.at("spec.hostnames")
        yield from about(route, require(hosts, bool, "must be set"))
        for host in hosts.items():
            wide = forbid(host, lambda value: str(value).startswith("*"), "takes in other hosts' requests")
            yield from about(route, wide)


@FAMILY.object(
    "route-timeout",
    "Routes give up after a time",
    Severity.MEDIUM,
    _ROUTE,
    _VIRTUAL_SERVICE,
    fix="Set timeouts.request (HTTPRoute) or timeout (VirtualService); 0s means for ever.",
)
def route_timeout(subject: KubernetesObject, _options: Options) -> Findings:
    for rule in _rules(subject):
        timeout = rule.at("timeouts.request") if subject.kind == _ROUTE else rule.key("timeout")
        redirect = rule.key("redirect").value not in (None, UNKNOWN) or any(
            item.key("type").value == "RequestRedirect" for item in rule.key("filters").items()
        )
        if not redirect:
            yield from require(timeout, lambda value: str(value).strip("0hms") != "", "must be set")


def _rules(subject: KubernetesObject) -> list[Node]:
    return subject.node.at("spec.rules" if subject.kind == _ROUTE else "spec.http").items()


@FAMILY.object(
    "route-retries-bounded",
    "Routes try again a few times only",
    Severity.LOW,
    _ROUTE,
    _VIRTUAL_SERVICE,
    fix="Set retry.attempts (HTTPRoute) or retries.attempts (VirtualService) to 3 or fewer.",
)
def route_retries_bounded(subject: KubernetesObject, _options: Options) -> Findings:
    field = "retry" if subject.kind == _ROUTE else "retries"
    for rule in _rules(subject):
        yield from forbid(
            rule.key(field).key("attempts"),
            lambda value: not isinstance(value, int) or not 0 <= value <= 3,  # noqa: PLR2004 - the rule's own number
            "must be 3 or fewer: every layer multiplies them",
        )


@FAMILY.stack(
    "route-backend-exists",
    "Routes lead to Services and ports of the stack",
    Severity.HIGH,
    _ROUTE,
    fix="Correct the name and port in backendRefs.",
    references=("kube-linter: dangling-*",),
)
def route_backend_exists(stack: Stack, _options: Options) -> Findings:
    for route in stack.of_kind(_ROUTE):
        for rule in _rules(route):
            for backend in rule.key("backendRefs").items():
                if backend.key("kind").value not in (None, UNKNOWN, "Service"):
                    continue
                answers = [_leads_to(backend, route, service) for service in stack.of_kind("Service")]
                yield from require_any(answers, backend, "is no Service and port of the stack", route)


def _leads_to(backend: Node, route: KubernetesObject, service: KubernetesObject) -> bool | None:
    space, name, port = backend.key("namespace"), backend.key("name"), backend.key("port")
    wanted_space = route.namespace if space.absent else space.text() or UNKNOWN
    ports = [item.key("port") for item in service.node.at("spec.ports").items()]
    if port.unknown or any(item.unknown for item in ports):
        listed = None
    else:
        listed = port.value in [item.value for item in ports]
    return every(
        [
            same_name(service.namespace, wanted_space),
            same_name(service.name, UNKNOWN if name.unknown else str(name.value)),
            listed,
        ]
    )


@FAMILY.stack(
    "route-gateway-exists",
    "Routes hang on a front door or Service that is there",
    Severity.HIGH,
    _ROUTE,
    fix="Correct the name in parentRefs; a Gateway of another namespace is not judged.",
)
def route_gateway_exists(stack: Stack, _options: Options) -> Findings:
    for route in stack.of_kind(_ROUTE):
        parents = route.node.at("spec.parentRefs")
        yield from about(route, require(parents, bool, "must be set"))
        for parent in parents.items():
            if not parent.key("namespace").absent and not parent.unknown:
                continue  # of another team
            kind = "Service" if parent.key("kind").value == "Service" else _GATEWAY
            name = parent.key("name")
            answers = [
                every(
                    [
                        same_name(item.namespace, route.namespace),
                        same_name(item.name, UNKNOWN if name.unknown else str(name.value)),
                    ]
                )
                for item in stack.of_kind(kind)
            ]
            yield from require_any(answers, name, "is not in the stack", route)


@FAMILY.object(
    "destination-bounded",
    "Connections to a service are bounded, and failing pods are rested",
    Severity.MEDIUM,
    _DESTINATION,
    fix="Set trafficPolicy.connectionPool.tcp.maxConnections and trafficPolicy.outlierDetection.",
)
def destination_bounded(subject: KubernetesObject, _options: Options) -> Findings:
    for policy in _policies(subject):
        yield from require(policy.at("connectionPool.tcp.maxConnections"), bool, "must be set")
        yield from require(policy.key("outlierDetection"), bool, "must be set")


@FAMILY.object(
    "destination-tls",
    "The mesh's own TLS is not switched off for a destination",
    Severity.HIGH,
    _DESTINATION,
    fix="Remove trafficPolicy.tls, or set its mode to ISTIO_MUTUAL.",
)
def destination_tls(subject: KubernetesObject, _options: Options) -> Findings:
    for policy in _policies(subject):
        yield from forbid(policy.at("tls.mode"), lambda value: value == "DISABLE", "sends in plain text")


def _policies(subject: KubernetesObject) -> Iterator[Node]:
    """A destination's own policy, and those of its subsets that replace it."""
    yield subject.node.at("spec.trafficPolicy")
    for subset in subject.node.at("spec.subsets").items():
        if not subset.key("trafficPolicy").absent:
            yield subset.key("trafficPolicy")


@FAMILY.object(
    "ingress-tls",
    "Where there still is an Ingress, it speaks TLS",
    Severity.HIGH,
    "Ingress.networking.k8s.io",
    fix="Set spec.tls; better, use a Gateway and an HTTPRoute: ingress-nginx is retired.",
    references=("Kubernetes: Ingress NGINX retirement",),
)
def ingress_tls(subject: KubernetesObject, _options: Options) -> Findings:
    yield from require(subject.node.at("spec.tls"), bool, "must be set")
