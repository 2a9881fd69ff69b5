"""The embedded Kubernetes: upstream's own programs as one node in namespaces of its own.

Names are loaded when they are first used: the cluster's own long-running processes are modules of this
package too, and should not carry what only the commands need.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.cluster.cluster import Cluster
    from infra.cluster.report import Report, silent
    from infra.cluster.status import ClusterStatus, ComponentStatus
    from infra.cluster.tools import client_tool, tool

__all__ = ["Cluster", "ClusterStatus", "ComponentStatus", "Report", "client_tool", "silent", "tool"]

_HOMES = {
    "Cluster": "cluster",
    "ClusterStatus": "status",
    "ComponentStatus": "status",
    "Report": "report",
    "client_tool": "tools",
    "silent": "report",
    "tool": "tools",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
