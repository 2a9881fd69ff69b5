"""A stack as it is deployed: where its objects are, and kubectl pointed there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from infra import naming
from infra.cluster import Cluster, client_tool, silent
from infra.engine import project
from infra.engine.kubectl import Kubectl
from infra.engine.record import REPOSITORY
from infra.settings import Settings, parse


@dataclass(frozen=True, slots=True)
class Deployed:
    """One stack's place in its cluster."""

    stack: str
    settings: Settings
    kubectl: Kubectl

    @classmethod
    def of(cls, stack: str, *, root: Path = REPOSITORY) -> Deployed:
        """The stack of this name, by its settings; nothing is contacted.

        Raises:
            PlatformError: no such stack, settings that are wrong, or an embedded cluster that was never made.
        """
        settings = parse(stack, project.load(root, stack).config)
        cluster = settings.cluster
        if cluster.embedded is not None:
            embedded = Cluster.named(cluster.embedded)
            _ = embedded.spec  # names the missing cluster before kubectl misses its file
            kubeconfig = embedded.kubeconfig
        else:
            kubeconfig = Path(cluster.kubeconfig) if cluster.kubeconfig else None
        kubectl = Kubectl(client_tool("kubectl", silent), cluster.context_name, kubeconfig)
        return cls(stack, settings, kubectl)

    @property
    def namespace(self) -> str:
        """The one namespace of the stack's objects."""
        return naming.namespace(self.stack)

    def command(self, *arguments: str) -> list[str]:
        """A kubectl command on this namespace, for a caller that runs it by itself."""
        kubectl = self.kubectl
        config = ["--kubeconfig", str(kubectl.kubeconfig)] if kubectl.kubeconfig else []
        return [
            str(kubectl.binary),
            *config,
            "--context",
            kubectl.context,
            "--namespace",
            self.namespace,
            *arguments,
        ]
