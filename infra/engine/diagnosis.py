"""What a user needs to see when something does not become ready: the pod, its events, the end of its log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from infra.engine.kubectl import Kubectl
from infra.engine.pods import Pod, pods
from infra.engine.workloads import Workload, workloads
from infra.errors import PlatformError

EVENTS: Final = 5
LOG_LINES: Final = 10


class NotReadyError(PlatformError):
    """Something did not become ready.

    Attributes:
        details: Lines that tell about each pod or workload: state, events, end of its log.
    """

    def __init__(self, message: str, *, details: list[str], hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.details = details


def not_ready(kubectl: Kubectl, namespaces: Sequence[str], stack: str) -> NotReadyError | None:
    """The error that describes what is not ready in some namespaces, or None if everything is."""
    late = [item for item in workloads(kubectl, namespaces) if not item.ready]
    sick = [item for item in pods(kubectl, namespaces) if not item.ready and not item.leaving]
    if not late and not sick:
        return None
    events = [event for namespace in namespaces for event in _events(kubectl, namespace)]
    details: list[str] = []
    for item in sick:
        details += _about_pod(kubectl, item, events)
    for item in late:
        if not any(pod.workload == item.name for pod in sick):
            details += _about_workload(item, events)
    names = ", ".join([item.name for item in sick] or [item.title for item in late])
    return NotReadyError(
        f"stack {stack}: not ready: {names}",
        details=details,
        hint=f"when the cause is gone, run `mcpctl up --stack {stack}` again: it goes on from here",
    )


def _about_pod(kubectl: Kubectl, item: Pod, events: list[Mapping[str, Any]]) -> list[str]:
    where = f" in container {item.container}" if item.container else ""
    lines = [f"pod {item.name}: {item.reason}{where}" + (f": {item.message}" if item.message else "")]
    lines += [f"  event: {_event(event)}" for event in _of(events, {item.name})]
    if item.container:
        lines += [f"  log: {line}" for line in _log(kubectl, item)]
    return lines


def _about_workload(item: Workload, events: list[Mapping[str, Any]]) -> list[str]:
    """A workload without a sick pod: it could make none, which its (or its ReplicaSet's) events explain."""
    names = {
        name
        for event in events
        if (name := str(event["involvedObject"].get("name"))) == item.name or name.startswith(f"{item.name}-")
    }
    return [f"{item.title}: {item.progress}", *(f"  event: {_event(event)}" for event in _of(events, names))]


def _events(kubectl: Kubectl, namespace: str) -> list[Mapping[str, Any]]:
    """Events of a namespace, oldest first."""
    return sorted(
        kubectl.list("events", namespace),
        key=lambda event: event.get("lastTimestamp") or event["metadata"]["creationTimestamp"],
    )


def _of(events: Iterable[Mapping[str, Any]], names: set[str]) -> list[Mapping[str, Any]]:
    found = [event for event in events if event["involvedObject"].get("name") in names]
    warnings = [event for event in found if event.get("type") == "Warning"]
    return (warnings or found)[-EVENTS:]


def _event(event: Mapping[str, Any]) -> str:
    return f"{event.get('reason')}: {' '.join(str(event.get('message', '')).split())}"


def _log(kubectl: Kubectl, item: Pod) -> list[str]:
    """The end of a container's log; of its previous run if this one has said nothing yet."""
    for run in ((), ("--previous",)):
        result = kubectl.run(
            "logs", item.name, "--namespace", item.namespace, "--container", item.container,
            f"--tail={LOG_LINES}", *run,
        )  # fmt: skip
        if result.code == 0 and result.out.strip():
            return result.out.strip().splitlines()
    return []
