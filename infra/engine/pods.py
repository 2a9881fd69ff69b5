"""How the pods of a namespace are doing, and why those that are not ready are not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from infra.engine.kubectl import Kubectl

# Reasons that do not pass by themselves; the kubelet keeps trying, but somebody has to do something.
_STUCK: Final = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
        "StartError",
        "Unschedulable",
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pod:
    """One pod.

    Attributes:
        namespace: Its namespace.
        name: Its name.
        ready: Whether it takes traffic, or has done its work.
        reason: Why it is not ready, in Kubernetes' word; "" if it is.
        message: What Kubernetes adds to the reason.
        container: The container that the reason is about, or "".
        restarts: Of all its containers.
        created: RFC 3339 time.
        revision: The revision of its StatefulSet or DaemonSet that it was made from, or "".
        owner: `StatefulSet/redis`, or "/".
        leaving: Whether it is being deleted.
    """

    namespace: str
    name: str
    ready: bool
    reason: str
    message: str
    container: str
    restarts: int
    created: str
    revision: str
    owner: str
    leaving: bool

    @property
    def workload(self) -> str:
        """The name of its Deployment, StatefulSet or DaemonSet."""
        kind, _, name = self.owner.partition("/")
        return name.rpartition("-")[0] if kind == "ReplicaSet" else name

    @property
    def stuck(self) -> bool:
        """Whether waiting will not help."""
        return not self.ready and self.reason in _STUCK


def pods(kubectl: Kubectl, namespaces: Iterable[str]) -> list[Pod]:
    """The pods of some namespaces by name."""
    found = [pod(body) for namespace in namespaces for body in kubectl.list("pods", namespace)]
    return sorted(found, key=lambda item: item.name)


def pod(body: Mapping[str, Any]) -> Pod:
    """Read one pod as the API server tells it."""
    metadata, status = body["metadata"], body.get("status", {})
    statuses = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    conditions = {item["type"]: item for item in status.get("conditions", ())}
    done = status.get("phase") == "Succeeded"
    ready = done or conditions.get("Ready", {}).get("status") == "True"
    reason, message, container = ("", "", "") if ready else _reason(status, statuses, conditions)
    owners = metadata.get("ownerReferences") or [{"kind": "", "name": ""}]
    return Pod(
        namespace=metadata["namespace"],
        name=metadata["name"],
        ready=ready,
        reason=reason,
        message=message,
        container=container,
        restarts=sum(item.get("restartCount", 0) for item in statuses),
        created=metadata["creationTimestamp"],
        revision=metadata.get("labels", {}).get("controller-revision-hash", ""),
        owner=f"{owners[0]['kind']}/{owners[0]['name']}",
        leaving="deletionTimestamp" in metadata,
    )


def _reason(
    status: Mapping[str, Any], statuses: Sequence[Mapping[str, Any]], conditions: Mapping[str, Any]
) -> tuple[str, str, str]:
    """The most telling cause: a container's, then the scheduler's, then the pod's phase."""
    for item in statuses:
        state = item.get("state", {})
        if waiting := state.get("waiting"):
            if waiting["reason"] != "PodInitializing":
                return waiting["reason"], waiting.get("message", ""), item["name"]
        elif (ended := state.get("terminated")) and ended.get("exitCode"):
            return ended.get("reason", "Error"), f"exit code {ended['exitCode']}", item["name"]
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return scheduled.get("reason", "Unschedulable"), scheduled.get("message", ""), ""
    for item in statuses:
        if "running" in item.get("state", {}) and not item.get("ready"):
            return "NotReady", "its probe does not succeed yet", item["name"]
    return status.get("phase", "Unknown"), status.get("message", ""), ""
