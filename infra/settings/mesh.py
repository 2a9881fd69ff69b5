"""Settings of the service mesh."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from infra.settings.fields import Group, Host, Label, reject
from infra.settings.workloads import Scaled


class Outliers(Group):
    """When a server's pod gets no requests for a while."""

    errors: int = Field(default=3, ge=2, le=100)
    """Answers with 5xx, or connections that failed, in a row."""
    interval_seconds: int = Field(default=15, ge=1, le=3600)
    """Between two looks."""
    eject_seconds: int = Field(default=30, ge=1, le=3600)
    """How long; the second time twice as long, and so on."""
    eject_percent: int = Field(default=50, ge=1, le=100)
    """The most of a server's pods that are left out at once."""


class Waypoint(Scaled):
    """The proxy that looks into requests to servers, in an ambient mesh. Istio brings it up."""


class Mesh(Group):
    """Istio, which must be in the cluster, with its CRDs and those of the Gateway API."""

    mode: Literal["ambient", "sidecar"] = "ambient"
    """Ambient: a proxy on each node, and a waypoint for requests. Sidecar: a proxy in each pod; Istio's CNI
    plugin must be there, as pods may not have the rights that they need without."""
    revision: Label | None = None
    """Of the Istio that serves the namespace, where there are several."""
    trust_domain: Host = "cluster.local"
    """What the identities of the mesh begin with: Istio's `meshConfig.trustDomain`."""
    control_plane_namespace: Label = "istio-system"
    """Where istiod is."""
    callers: Mapping[Label, Label] = {}
    """Other namespaces in the mesh, and the service account there that calls this stack, such as
    `monitoring: kube-prometheus-stack-prometheus`. Pods of namespaces that are not listed call in plain text,
    at the ports where network policies let them, and only there."""
    timeout_seconds: int = Field(default=30, ge=1, le=3600)
    """Of a request to a server. Tool calls have as long as the server's own timeout lets them."""
    stream_seconds: int = Field(default=3600, ge=60, le=86_400)
    """After which a stream on which a server tells of changes is opened anew."""
    attempts: int | None = Field(default=3, ge=0, le=3)
    """How often a request that no server has seen is sent again. `null` leaves it to Istio, for a Gateway API
    whose routes can't say it: the standard channel before 1.7."""
    connections: int = Field(default=50, ge=1, le=100_000)
    """The most that a proxy has to all pods of a server."""
    outliers: Outliers = Outliers()
    waypoint: Waypoint = Waypoint()

    @model_validator(mode="after")
    def _streams_outlast_requests(self) -> Mesh:
        if self.stream_seconds < self.timeout_seconds:
            reject(
                "stream_seconds",
                f"must not be less than timeout_seconds, which is {self.timeout_seconds}",
                self.stream_seconds,
            )
        return self

    @model_validator(mode="after")
    def _has_a_waypoint(self) -> Mesh:
        if self.mode == "sidecar" and self.waypoint != Waypoint():
            reject("waypoint", "must be left out with mode: sidecar, which has no waypoint")
        return self
