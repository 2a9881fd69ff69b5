"""Settings of the front door: a Gateway of the Gateway API, and who runs its proxies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from infra.settings.fields import Cidr, Group, Label, Text, reject
from infra.settings.workloads import Scaled


class Certificate(Group):
    """The front door's certificate: one that cert-manager gets and renews, or a Secret that is there."""

    issuer: Label | None = None
    """Of cert-manager, which must be in the cluster."""
    issuer_kind: Literal["ClusterIssuer", "Issuer"] = "ClusterIssuer"
    """An Issuer is one of the stack's own namespace."""
    http01: bool = False
    """Whether the issuer proves the names by ACME's HTTP-01: cert-manager then answers on port 80 by a pod in
    the stack's namespace, which the front door may call. DNS-01 needs nothing of the stack."""
    secret: Label | None = None
    """Of the type kubernetes.io/tls, in the stack's namespace."""

    @model_validator(mode="after")
    def _comes_one_way(self) -> Certificate:
        if (self.issuer is None) == (self.secret is None):
            reject("issuer", "must be set, or secret instead: the certificate comes one way")
        if self.http01 and self.issuer is None:
            reject(
                "http01", "must be left out where secret is set: nobody has to prove anything", self.http01
            )
        return self


class Proxies(Group):
    """Where the class runs what listens: the stack's own namespace, as with Istio, when neither is set."""

    namespace: Label | None = None
    """Another namespace, such as Envoy Gateway's."""
    cidrs: tuple[Cidr, ...] = ()
    """Networks outside of the cluster, such as the subnets of an Application Load Balancer."""
    control_plane_namespace: Label = "istio-system"
    """Where proxies in the stack's namespace get their configuration from."""

    @property
    def beside(self) -> bool:
        """Whether they are in the stack's own namespace."""
        return self.namespace is None and not self.cidrs

    @model_validator(mode="after")
    def _are_in_one_place(self) -> Proxies:
        if self.namespace is not None and self.cidrs:
            reject("cidrs", "must be left out where proxies.namespace is set", list(self.cidrs))
        return self


class EnvoyGateway(Scaled):
    """Envoy Gateway's proxies: how many, and limits of each. The gateway has more, for each principal."""

    client_per_second: int = Field(default=50, ge=1, le=100_000)
    """Requests of one client address to one proxy; more are answered with 429."""
    connections: int = Field(default=10_000, ge=1, le=1_000_000)
    """To one proxy, and the requests that it has open at the gateway, streams among them."""


class Edge(Group):
    """A Gateway with TLS, and routes to what is public. The Gateway API's CRDs must be there, and a class."""

    gateway_class: Label
    """Whose controller brings the proxies up: `kubectl get gatewayclasses` lists them."""
    certificate: Certificate
    proxies: Proxies = Proxies()
    envoy_gateway: EnvoyGateway | None = None
    """For a class of Envoy Gateway: TLS versions, limits and the choice of the least busy replica."""
    redirect: bool = True
    """Whether port 80 sends browsers to https; nothing listens there otherwise."""
    stream_seconds: int = Field(default=3600, ge=60, le=86_400)
    """The longest that an answer takes. Streams of changes end then, and clients open them anew."""
    annotations: Mapping[Text, str] = {}
    """Of what the class makes for the Gateway, such as those that a cloud's load balancer reads."""

    @model_validator(mode="after")
    def _names_can_be_proven(self) -> Edge:
        if self.certificate.http01 and not self.redirect:
            reject(
                "certificate.http01",
                "must be left out where redirect is false: it needs port 80",
                self.certificate.http01,
            )
        return self
