"""The front door: TLS ends here, and only what is public gets through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.certificates import Certificate, CertificateSpec, IssuerReference
from infra.components import edge_envoy as envoy
from infra.components import edge_proxies as proxies
from infra.gateway_api import (
    AllowedRoutes,
    BackendReference,
    Gateway,
    GatewayInfrastructure,
    GatewaySpec,
    HttpFilter,
    HttpMatch,
    HttpRoute,
    HttpRouteSpec,
    HttpRule,
    HttpTimeouts,
    Listener,
    ListenerTls,
    ObjectReference,
    ParentReference,
    PathMatch,
    RequestRedirect,
    RouteNamespaces,
)
from infra.labels import labels
from infra.naming import EDGE, EDGE_CERTIFICATE, EDGE_REDIRECT, GATEWAY, Stack
from infra.settings.edge import Edge as EdgeSettings
from services.kit.conventions import MCP_PATH, MCP_PORT, METADATA_PATH

HTTPS_PORT: Final = 443
HTTP_PORT: Final = 80

PUBLIC_PATHS: Final = (MCP_PATH, METADATA_PATH, f"{METADATA_PATH}{MCP_PATH}")
"""Calls, and where clients learn whose tokens they need (RFC 9728): nothing of status and administration."""

_ACCOUNT: Final = "gateway.istio.io/service-account"
"""Istio would add its class to the name; the mesh's policies know services by the names of their accounts."""

_SAME_NAMESPACE: Final = AllowedRoutes(namespaces=RouteNamespaces(from_="Same"))


@dataclass(frozen=True, kw_only=True, slots=True)
class EdgeArgs:
    """The front door of one stack.

    Attributes:
        stack: The stack.
        settings: Its class, certificate and limits.
        hosts: Names that clients call it by.
        max_body_bytes: Of a request; the gateway refuses larger ones, too.
        body_seconds: For a client to send a whole request.
    """

    stack: Stack
    settings: EdgeSettings
    hosts: Sequence[str]
    max_body_bytes: int
    body_seconds: float


def build_gateway(args: EdgeArgs) -> GatewaySpec:
    """A listener with TLS for each host and, where it redirects, one without."""
    edge = args.settings
    certificate = ObjectReference(name=edge.certificate.secret or EDGE_CERTIFICATE)
    secure = tuple(
        Listener(
            name=name,
            port=HTTPS_PORT,
            protocol="HTTPS",
            hostname=host,
            tls=ListenerTls(certificate_refs=(certificate,)),
            allowed_routes=_SAME_NAMESPACE,
        )
        for name, host in _listeners("https", args.hosts)
    )
    plain = tuple(
        Listener(name=name, port=HTTP_PORT, protocol="HTTP", hostname=host, allowed_routes=_SAME_NAMESPACE)
        for name, host in _listeners("http", args.hosts)
    )
    return GatewaySpec(
        gateway_class_name=edge.gateway_class,
        listeners=(*secure, *(plain if edge.redirect else ())),
        # Proxies in the stack's namespace are then known to its network policies.
        infrastructure=GatewayInfrastructure(
            labels=labels(args.stack, EDGE, "platform"),
            annotations=edge.annotations or None,
            parameters_ref=proxies.REFERENCE if edge.envoy_gateway else None,
        ),
    )


def build_route(args: EdgeArgs) -> HttpRouteSpec:
    """What is public, to the gateway; everything else is not found."""
    return HttpRouteSpec(
        parent_refs=_parents("https", args.hosts),
        hostnames=tuple(args.hosts),
        rules=(
            HttpRule(
                matches=tuple(HttpMatch(path=PathMatch(value=path, type="Exact")) for path in PUBLIC_PATHS),
                backend_refs=(BackendReference(name=GATEWAY, port=MCP_PORT),),
                timeouts=HttpTimeouts(request=f"{args.settings.stream_seconds}s"),
            ),
        ),
    )


def build_redirect(args: EdgeArgs) -> HttpRouteSpec:
    """From http to https."""
    redirect = RequestRedirect(scheme="https", status_code=301)
    return HttpRouteSpec(
        parent_refs=_parents("http", args.hosts),
        hostnames=tuple(args.hosts),
        rules=(HttpRule(filters=(HttpFilter(type="RequestRedirect", request_redirect=redirect),)),),
    )


def build_certificate(args: EdgeArgs, issuer: str) -> CertificateSpec:
    """For all hosts."""
    reference = IssuerReference(name=issuer, kind=args.settings.certificate.issuer_kind)
    return CertificateSpec(secret_name=EDGE_CERTIFICATE, issuer_ref=reference, dns_names=tuple(args.hosts))


class Edge(pulumi.ComponentResource):
    """A Gateway, its certificate and its routes."""

    def __init__(self, name: str, args: EdgeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mcp:network:Edge", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        settings = args.settings

        def metadata(object_name: str, annotations: Mapping[str, str] | None = None) -> ObjectMetaArgs:
            return ObjectMetaArgs(
                name=object_name,
                namespace=args.stack.namespace,
                labels=labels(args.stack, EDGE, "platform"),
                annotations=annotations,
            )

        if settings.certificate.issuer:
            certificate = build_certificate(args, settings.certificate.issuer)
            Certificate(EDGE_CERTIFICATE, metadata(EDGE_CERTIFICATE), certificate, child)
        account = {_ACCOUNT: EDGE} if settings.proxies.beside else None
        Gateway(EDGE, metadata(EDGE, account), build_gateway(args), child)
        HttpRoute(EDGE, metadata(EDGE), build_route(args), child)
        if settings.redirect:
            HttpRoute(EDGE_REDIRECT, metadata(EDGE_REDIRECT), build_redirect(args), child)
        if settings.envoy_gateway:
            running = proxies.build_proxies(args.stack, settings.envoy_gateway)
            proxies.EnvoyProxy(EDGE, metadata(EDGE), running, child)
            client = envoy.build_client_policy(settings.envoy_gateway, args.body_seconds)
            envoy.ClientTrafficPolicy(EDGE, metadata(EDGE), client, child)
            backend = envoy.build_backend_policy(
                settings.envoy_gateway, args.max_body_bytes, settings.stream_seconds
            )
            envoy.BackendTrafficPolicy(EDGE, metadata(EDGE), backend, child)
        self.register_outputs({"hosts": list(args.hosts)})


def _listeners(protocol: str, hosts: Sequence[str]) -> list[tuple[str, str]]:
    """A name for the listener of each host."""
    return [(protocol if index == 1 else f"{protocol}-{index}", host) for index, host in enumerate(hosts, 1)]


def _parents(protocol: str, hosts: Sequence[str]) -> tuple[ParentReference, ...]:
    return tuple(ParentReference(name=EDGE, section_name=name) for name, _ in _listeners(protocol, hosts))
