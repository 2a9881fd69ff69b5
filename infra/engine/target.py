"""The cluster that a stack runs on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.cluster import Cluster, Report, client_tool, tool
from infra.engine.graph import Graph
from infra.engine.helm import Helm
from infra.engine.kubectl import Kubectl
from infra.errors import PlatformError
from infra.naming import namespace

PROVIDER: Final = "pulumi:providers:kubernetes"
EMBEDDED_OUTPUT: Final = "embedded"
"""The stack output that names the embedded cluster, where the stack runs on one."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a stack is deployed.

    Attributes:
        stack: The stack's name.
        namespace: The stack's namespace; the release is recorded there.
        context: A context of the kubeconfig.
        kubeconfig: The file, or None for the user's own.
        cluster: The embedded cluster, or None where the user brings one.
    """

    stack: str
    namespace: str
    context: str
    kubeconfig: Path | None
    cluster: Cluster | None

    def kubectl(self, report: Report) -> Kubectl:
        """Kubectl for this cluster; built first where it is missing."""
        return Kubectl(self._tool("kubectl", report), self.context, self.kubeconfig)

    def helm(self, report: Report) -> Helm:
        """Helm for this cluster; built first where it is missing."""
        return Helm(self._tool("helm", report), self.context, self.namespace, self.kubeconfig)

    def _tool(self, name: str, report: Report) -> Path:
        return tool(name, report, home=self.cluster.home) if self.cluster else client_tool(name, report)


def target_of(graph: Graph) -> Target:
    """Where a graph's one Kubernetes provider points.

    Raises:
        PlatformError: There is no such provider, there are several that differ, or it names no context.
    """
    providers = list(graph.by_type(PROVIDER).values())
    contexts = {(item.inputs.get("context"), item.inputs.get("kubeconfig")) for item in providers}
    if len(contexts) != 1:
        raise PlatformError(
            f"stack {graph.stack} must have one Kubernetes provider with one context, not {len(contexts)}",
            hint="use `--engine pulumi` for a stack of several clusters",
        )
    ((context, kubeconfig),) = contexts
    if not isinstance(context, str):
        raise PlatformError(f"stack {graph.stack}: the Kubernetes provider names no context")
    embedded = graph.outputs.get(EMBEDDED_OUTPUT)
    cluster = Cluster.named(embedded) if isinstance(embedded, str) else None
    if cluster:
        file = cluster.kubeconfig
    else:
        file = Path(kubeconfig).expanduser() if isinstance(kubeconfig, str) else None
    return Target(graph.stack, namespace(graph.stack), context, file, cluster)
