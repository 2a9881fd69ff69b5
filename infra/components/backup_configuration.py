"""What is backed up as configuration: resources by API group and version. Pure. Never Secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from infra import certificates, external_secrets, gateway_api
from infra.components import barman, cnpg, edge_envoy
from infra.mesh import resources as istio
from infra.monitoring import resources as prometheus
from infra.settings import Settings
from infra.settings.groups import ExternalPostgres

Configuration = Mapping[str, Sequence[str]]

_ALWAYS: Final[Configuration] = {
    "v1": (
        "configmaps",
        "limitranges",
        "persistentvolumeclaims",
        "resourcequotas",
        "serviceaccounts",
        "services",
    ),
    "apps/v1": ("deployments", "statefulsets"),
    "autoscaling/v2": ("horizontalpodautoscalers",),
    "batch/v1": ("cronjobs",),
    "networking.k8s.io/v1": ("networkpolicies",),
    "policy/v1": ("poddisruptionbudgets",),
    "rbac.authorization.k8s.io/v1": ("roles", "rolebindings"),
}


def configuration(settings: Settings) -> Configuration:
    """Those that the stack declares; of others, its cluster may not even have the kind."""
    found = {**_ALWAYS, **_of_traffic(settings)}
    if settings.monitoring:
        found[prometheus.API_VERSION] = ("podmonitors", "prometheusrules", "servicemonitors")
    if settings.external_secrets:
        found[external_secrets.API_VERSION] = ("externalsecrets", "secretstores")
    replication = None if isinstance(settings.postgres, ExternalPostgres) else settings.postgres.replication
    if replication:
        found[cnpg.API_VERSION] = ("clusters", "scheduledbackups")
    if replication and replication.archive:
        found[barman.STORE_API_VERSION] = ("objectstores",)
    return found


def _of_traffic(settings: Settings) -> Configuration:
    """Of the front door and the mesh."""
    edge, mesh = settings.edge, settings.mesh
    found: dict[str, Sequence[str]] = {}
    if edge or (mesh and mesh.mode == "ambient"):
        found[gateway_api.API_VERSION] = ("gateways", "httproutes")
    if edge and edge.certificate.issuer:
        found[certificates.API_VERSION] = ("certificates",)
    if edge and edge.envoy_gateway:
        found[edge_envoy.API_VERSION] = ("backendtrafficpolicies", "clienttrafficpolicies", "envoyproxies")
    if mesh:
        routes = ("virtualservices",) if mesh.mode == "sidecar" else ()
        found[istio.NETWORKING] = ("destinationrules", *routes)
        found[istio.SECURITY] = ("authorizationpolicies", "peerauthentications")
    return found
