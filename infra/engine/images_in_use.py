"""Which images of a cluster something runs, or could be rolled back to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from infra.engine.helm import Helm
from infra.engine.kubectl import Kubectl

_KINDS: Final = "pods,replicasets,statefulsets,daemonsets,jobs,cronjobs"
"""ReplicaSets are what `kubectl rollout undo` goes back to."""


def images_in_use(kubectl: Kubectl, helm: Helm) -> set[str]:
    """References in any namespace's workloads, since stacks share nodes, and in the release's revisions."""
    found = set(_images(kubectl.list_all(_KINDS)))
    for revision in helm.history():
        found.update(_images(helm.objects(revision.number)))
    return found


def _images(value: Any) -> Iterator[str]:  # noqa: ANN401 - any piece of an object
    if isinstance(value, dict):
        containers = (value.get(key) or [] for key in ("containers", "initContainers", "ephemeralContainers"))
        for group in containers:
            yield from (item["image"] for item in group if isinstance(item, dict) and "image" in item)
        for below in value.values():
            yield from _images(below)
    elif isinstance(value, list):
        for below in value:
            yield from _images(below)
