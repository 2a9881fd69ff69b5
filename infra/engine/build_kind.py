"""Images on the nodes of a kind cluster, which have no registry between them and the machine that built."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import Final

from infra.cluster import Report
from infra.engine.process import run
from infra.errors import PlatformError

CONTEXT_PREFIX: Final = "kind-"
"""What kind puts before a cluster's name in the kubeconfig."""

LOAD_SECONDS: Final = 600.0


def kind_cluster(context: str) -> str | None:
    """The name of the kind cluster that a kubeconfig context belongs to, or None."""
    return context.removeprefix(CONTEXT_PREFIX) if context.startswith(CONTEXT_PREFIX) else None


def load(refs: Sequence[str], cluster: str, report: Report) -> None:
    """Copy images of the Docker engine to every node; kind leaves out those that a node has.

    See https://kind.sigs.k8s.io/docs/user/quick-start/#loading-an-image-into-your-cluster.

    Raises:
        PlatformError: kind is not on PATH, or it failed.
    """
    kind = shutil.which("kind")
    if kind is None:
        raise PlatformError(
            f"the images can't be loaded into the kind cluster {cluster}: kind is not on PATH",
            hint="put kind on PATH, or set images.registry and images.push to use a registry",
        )
    report(f"loading {len(refs)} images into the kind cluster {cluster}")
    result = run([kind, "load", "docker-image", *refs, "--name", cluster], timeout=LOAD_SECONDS)
    if result.code:
        raise PlatformError(f"kind load docker-image: {result.err.strip()}")
