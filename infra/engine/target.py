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

PROVIDER: Final = "pulumi:providers:kubernetes"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a stack is deployed.

    Attributes:
        stack: The stack's name.
        namespace: The stack's namespace; the release is recorded there.
        context: A context of the kubeconfig.
        kubeconfig: The file, or None for the user's own.
        cluster: The embedded cluster, or None where the user brings one.
        others: Namespaces beside the stack's, which have workloads of it, too.
    """

    stack: str
    namespace: str
    context: str
    kubeconfig: Path | None
    cluster: Cluster | None
    others: tuple[str, ...] = ()

    @property
    def namespaces(self) -> tuple[str, ...]:
        """All that have workloads of the stack, its own first."""
        return (self.namespace, *self.others)

    def kubectl(self, report: Report) -> Kubectl:
        """Kubectl for this cluster; built first where it is missing.

        Raises:
            PlatformError: The embedded cluster was never made, or is down.
        """
        return Kubectl(self._tool("kubectl", report), self.context, self.kubeconfig)

    def helm(self, report: Report) -> Helm:
        """Helm for this cluster; raises as `kubectl`."""
        return Helm(self._tool("helm", report), self.context, self.namespace, self.kubeconfig)

    def _tool(self, name: str, report: Report) -> Path:
        if self.cluster is None:
            return client_tool(name, report)
        self.cluster.require_running()  # before ten minutes of building for a cluster that is not there
        return tool(name, report, home=self.cluster.home)


def require_target(graph: Graph, target: Target) -> None:
    """Refuse a program that deploys to another cluster than the one that was chosen for its stack.

    Raises:
        PlatformError: Its Kubernetes providers name another context, none, or several.
    """
    contexts = sorted({str(item.inputs.get("context")) for item in graph.by_type(PROVIDER).values()})
    if contexts != [target.context]:
        raise PlatformError(
            f"stack {graph.stack} deploys to {contexts}, not to {target.context} alone",
            hint="use `--engine pulumi` for a stack of several clusters",
        )
