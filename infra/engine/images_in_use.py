"""Which images of a cluster something runs, is about to run, or could be rolled back to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from infra.engine.helm import Helm
from infra.engine.kubectl import Kubectl
from infra.engine.lease import IMAGES

_KINDS: Final = "pods,replicasets,statefulsets,daemonsets,jobs,cronjobs"
"""ReplicaSets are what `kubectl rollout undo` goes back to."""


def images_in_use(kubectl: Kubectl, helm: Helm) -> set[str]:
    """References in any namespace, since stacks share nodes, and in the release's revisions.

    Those of deployments under way come first: what has ended by then is among the workloads.
    """
    leases = kubectl.list_all("leases.coordination.k8s.io")
    under_way = [it["metadata"].get("annotations", {}).get(IMAGES, "") for it in leases]
    found = {ref for text in under_way for ref in text.split(",") if ref}
    found.update(_images(kubectl.list_all(_KINDS)))
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
