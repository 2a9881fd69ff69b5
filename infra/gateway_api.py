"""The Gateway API's custom resources, as far as they are used: `gateway.networking.k8s.io/v1`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from infra.custom_resources import LabelSelector, TypedResource

GROUP: Final = "gateway.networking.k8s.io"
API_VERSION: Final = f"{GROUP}/v1"

Method = Literal["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectReference:
    """Another object of the same namespace, unless `namespace` says which; a Secret unless said.

    Attributes:
        name: Its name.
        group: Of its API; empty for Kubernetes' own.
        kind: What it is.
        namespace: Where, if not here; a ReferenceGrant there must allow it.
    """

    name: str
    group: str | None = None
    kind: str | None = None
    namespace: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ListenerTls:
    """How a listener speaks TLS.

    Attributes:
        certificate_refs: Secrets of the type kubernetes.io/tls.
        mode: Whether TLS ends here.
        options: Of the implementation's own, such as the lowest version.
    """

    certificate_refs: tuple[ObjectReference, ...] = ()
    mode: Literal["Terminate", "Passthrough"] = "Terminate"
    options: Mapping[str, str] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RouteNamespaces:
    """Namespaces whose routes may hang on a listener."""

    from_: Literal["All", "Selector", "Same"] = "Same"
    selector: LabelSelector | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class AllowedRoutes:
    """Routes that may hang on a listener."""

    namespaces: RouteNamespaces


@dataclass(frozen=True, kw_only=True, slots=True)
class Listener:
    """A port of a Gateway.

    Attributes:
        name: Of its own in the Gateway.
        port: Where it listens.
        protocol: HTTP, HTTPS, TLS, TCP, UDP, or one of the implementation's own.
        hostname: Requests for others are not taken; all are when left out.
        tls: For HTTPS and TLS, and only there.
        allowed_routes: Those of the same namespace when left out.
    """

    name: str
    port: int
    protocol: str
    hostname: str | None = None
    tls: ListenerTls | None = None
    allowed_routes: AllowedRoutes | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ParametersReference:
    """An object with settings of the implementation's own, in the same namespace."""

    group: str
    kind: str
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class GatewayInfrastructure:
    """What the implementation makes for a Gateway.

    Attributes:
        labels: Of what it makes.
        annotations: Of what it makes, such as those that a cloud's load balancer reads.
        parameters_ref: More settings.
    """

    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, str] | None = None
    parameters_ref: ParametersReference | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class GatewaySpec:
    """A front door, or a proxy inside of a mesh: what it is depends on its class."""

    gateway_class_name: str
    listeners: tuple[Listener, ...]
    infrastructure: GatewayInfrastructure | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ParentReference:
    """What a route hangs on.

    Attributes:
        name: Its name.
        group: Of its API; empty for Kubernetes' own. The Gateway API's when left out.
        kind: Gateway when left out; Service for traffic inside of a mesh.
        namespace: The route's own when left out.
        section_name: One of the Gateway's listeners.
        port: One of the Service's.
    """

    name: str
    group: str | None = None
    kind: str | None = None
    namespace: str | None = None
    section_name: str | None = None
    port: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class BackendReference:
    """A Service's port, in the route's own namespace."""

    name: str
    port: int
    weight: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PathMatch:
    """A request's path."""

    value: str
    type: Literal["Exact", "PathPrefix"] = "PathPrefix"


@dataclass(frozen=True, kw_only=True, slots=True)
class HeaderMatch:
    """A request's header with exactly this value."""

    name: str
    value: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpMatch:
    """Requests of which all of this is true."""

    path: PathMatch | None = None
    headers: tuple[HeaderMatch, ...] = ()
    method: Method | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """A header's value."""

    name: str
    value: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HeaderModifier:
    """Headers that are replaced, added to or taken away."""

    set: tuple[Header, ...] = ()
    add: tuple[Header, ...] = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestRedirect:
    """An answer that sends the client elsewhere; what is left out stays as it was asked for."""

    scheme: Literal["http", "https"] | None = None
    hostname: str | None = None
    port: int | None = None
    status_code: Literal[301, 302, 303, 307, 308] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtensionReference:
    """A filter of the implementation's own, in the route's namespace."""

    group: str
    kind: str
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpFilter:
    """One thing that is done to requests or answers: the one that `type` names, and only that is set."""

    type: Literal["RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "ExtensionRef"]
    request_header_modifier: HeaderModifier | None = None
    response_header_modifier: HeaderModifier | None = None
    request_redirect: RequestRedirect | None = None
    extension_ref: ExtensionReference | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpTimeouts:
    """Durations such as `30s`; `0s` is for ever.

    Attributes:
        request: From the request's first byte to the answer's last, tries included.
        backend_request: The same of one try; no longer than `request`.
    """

    request: str
    backend_request: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpRetry:
    """How often a request is tried again: in the standard channel from 1.7, before in the experimental one.

    Attributes:
        attempts: Tries after the first.
        codes: Statuses of answers that are tried again, beside connections that fail.
        backoff: The least time between two tries.
    """

    attempts: int
    codes: tuple[int, ...] = ()
    backoff: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpRule:
    """What happens to requests that match; all do where there is no match."""

    matches: tuple[HttpMatch, ...] = ()
    filters: tuple[HttpFilter, ...] = ()
    backend_refs: tuple[BackendReference, ...] = ()
    timeouts: HttpTimeouts | None = None
    retry: HttpRetry | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpRouteSpec:
    """Where requests for some hosts go; of two rules that match, the more specific one is taken."""

    parent_refs: tuple[ParentReference, ...]
    rules: tuple[HttpRule, ...]
    hostnames: tuple[str, ...] = ()


class Gateway(TypedResource[GatewaySpec], api_version=API_VERSION):
    """Has whoever implements its class bring up a proxy."""


class HttpRoute(TypedResource[HttpRouteSpec], api_version=API_VERSION, kind="HTTPRoute"):
    """Routes of HTTP, at a front door or inside of a mesh."""
