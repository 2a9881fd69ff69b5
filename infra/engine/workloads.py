"""Deployments, StatefulSets, DaemonSets and the database's Cluster: whether what was asked for is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra.engine.database import database_in
from infra.engine.kubectl import Kubectl

KINDS: Final = "deployments.apps,statefulsets.apps,daemonsets.apps"


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """One workload.

    Attributes:
        kind: Such as `Deployment`.
        namespace: Its namespace.
        name: Its name.
        wanted: How many pods it should have.
        current: How many of them are of its newest version and ready.
        observed: Whether its controller has seen its newest version.
        revision: Of a StatefulSet, the revision that its pods should be made from, or "".
    """

    kind: str
    namespace: str
    name: str
    wanted: int
    current: int
    observed: bool
    revision: str

    @property
    def ready(self) -> bool:
        """Whether every pod is of the newest version and ready."""
        return self.observed and self.current >= self.wanted

    @property
    def title(self) -> str:
        """`Deployment gateway`."""
        return f"{self.kind} {self.name}"

    @property
    def progress(self) -> str:
        """`1 of 3 ready`."""
        return f"{self.current} of {self.wanted} ready"


def workloads(kubectl: Kubectl, namespaces: Iterable[str]) -> list[Workload]:
    """The workloads of some namespaces by kind and name."""
    found: list[Workload] = []
    for namespace in namespaces:
        found += map(workload, kubectl.list(KINDS, namespace))
        if database := database_in(kubectl, namespace):
            found.append(_cluster(database))
    return sorted(found, key=lambda item: (item.kind, item.name))


def workload(body: Mapping[str, Any]) -> Workload:
    """Read one workload as the API server tells it."""
    status, spec = body.get("status", {}), body["spec"]
    if body["kind"] == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        updated, ready = status.get("updatedNumberScheduled", 0), status.get("numberReady", 0)
    else:
        wanted = spec.get("replicas", 1)
        updated, ready = status.get("updatedReplicas", 0), status.get("readyReplicas", 0)
    # Old pods that still serve count as ready: without them `ready` alone would tell too much.
    surplus = max(0, status.get("replicas", updated) - updated)
    return Workload(
        kind=body["kind"],
        namespace=body["metadata"]["namespace"],
        name=body["metadata"]["name"],
        wanted=wanted,
        current=max(0, min(updated, ready - surplus)),
        observed=status.get("observedGeneration", 0) >= body["metadata"]["generation"],
        revision=status.get("updateRevision", ""),
    )


def _cluster(body: Mapping[str, Any]) -> Workload:
    """Read a Cluster, whose instances its operator counts."""
    return Workload(
        kind=body["kind"],
        namespace=body["metadata"]["namespace"],
        name=body["metadata"]["name"],
        wanted=body["spec"]["instances"],
        current=body.get("status", {}).get("readyInstances", 0),
        observed=True,
        revision="",
    )
