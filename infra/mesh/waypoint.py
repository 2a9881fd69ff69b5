"""The waypoint: the proxy that looks into requests to servers, which Istio brings up for a Gateway. Pure."""

from __future__ import annotations

from typing import Any, Final

import yaml

from infra.gateway_api import (
    AllowedRoutes,
    GatewayInfrastructure,
    GatewaySpec,
    Listener,
    ParametersReference,
    RouteNamespaces,
)
from infra.labels import labels, selector
from infra.mesh.flows import TUNNEL_PORT
from infra.naming import WAYPOINT, Stack
from infra.settings.mesh import Waypoint

WAYPOINT_CLASS: Final = "istio-waypoint"


def build_waypoint(stack: Stack) -> GatewaySpec:
    """The Gateway; what Istio makes for it has our labels, by which network policies know it."""
    return GatewaySpec(
        gateway_class_name=WAYPOINT_CLASS,
        listeners=(
            Listener(
                name="mesh",
                port=TUNNEL_PORT,
                protocol="HBONE",
                allowed_routes=AllowedRoutes(namespaces=RouteNamespaces(from_="Same")),
            ),
        ),
        infrastructure=GatewayInfrastructure(
            labels=labels(stack, WAYPOINT, "platform"),
            parameters_ref=ParametersReference(group="", kind="ConfigMap", name=WAYPOINT),
        ),
    )


def build_overlays(stack: Stack, waypoint: Waypoint) -> dict[str, str]:
    """A ConfigMap's data: what is laid over the objects that Istio makes, by its names for them."""
    overlays: dict[str, Any] = {"deployment": {"spec": _deployment(stack, waypoint)}}
    if waypoint.autoscaling:
        scaling = waypoint.autoscaling
        overlays["horizontalPodAutoscaler"] = {
            "spec": {
                "minReplicas": scaling.min,
                "maxReplicas": scaling.max,
                "metrics": [_utilization("cpu", scaling.cpu), _utilization("memory", scaling.memory)],
            }
        }
    if waypoint.budgeted:
        overlays["podDisruptionBudget"] = {
            "spec": {"maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow"}
        }
    return {name: yaml.safe_dump(overlay, sort_keys=False) for name, overlay in overlays.items()}


def _deployment(stack: Stack, waypoint: Waypoint) -> dict[str, Any]:
    spread = {
        "maxSkew": 1,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector(stack, WAYPOINT)},
    }
    topologies = ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
    pod = {
        # Without it, Pod Security "restricted" refuses the pod.
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "topologySpreadConstraints": [{"topologyKey": key, **spread} for key in topologies],
    }
    replicas = {} if waypoint.autoscaling else {"replicas": waypoint.least}
    return {**replicas, "template": {"spec": pod}}


def _utilization(resource: str, percent: int) -> dict[str, Any]:
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": {"name": resource, "target": target}}
