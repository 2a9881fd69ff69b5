"""How a namespace and its Services belong to the mesh. Pure."""

from __future__ import annotations

from typing import Final

from infra.naming import WAYPOINT
from infra.settings.mesh import Mesh

AMBIENT_LABEL: Final = "istio.io/dataplane-mode"
SIDECAR_LABEL: Final = "istio-injection"
REVISION_LABEL: Final = "istio.io/rev"
WAYPOINT_LABEL: Final = "istio.io/use-waypoint"


def namespace_labels(mesh: Mesh | None) -> dict[str, str]:
    """What takes the namespace's pods into the mesh."""
    if mesh is None:
        return {}
    if mesh.mode == "ambient":
        return {AMBIENT_LABEL: "ambient"}
    return {REVISION_LABEL: mesh.revision} if mesh.revision else {SIDECAR_LABEL: "enabled"}


def server_labels(mesh: Mesh | None) -> dict[str, str]:
    """What sends requests for a server's Service through the waypoint.

    Services of their own rather than the namespace: the stores speak no HTTP, and would pay for the way.
    """
    return {WAYPOINT_LABEL: WAYPOINT} if mesh is not None and mesh.mode == "ambient" else {}
