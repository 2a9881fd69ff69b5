"""A stack as its settings say that it is deployed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from infra import naming
from infra.cluster import Cluster, silent
from infra.engine import project
from infra.engine.kubectl import Kubectl
from infra.engine.record import REPOSITORY
from infra.engine.target import Target
from infra.settings import Settings, parse


@dataclass(frozen=True, slots=True)
class Deployed:
    """One stack: its settings, and where they say that it runs."""

    stack: str
    settings: Settings
    target: Target

    @classmethod
    def of(cls, stack: str, *, root: Path = REPOSITORY) -> Deployed:
        """The stack of this name; nothing is contacted.

        Raises:
            PlatformError: There is no such stack, or its settings are wrong.
        """
        settings = parse(stack, project.load(root, stack).config)
        cluster = settings.cluster
        embedded = Cluster.named(cluster.embedded) if cluster.embedded else None
        given = Path(cluster.kubeconfig).expanduser() if cluster.kubeconfig else None
        kubeconfig = embedded.kubeconfig if embedded else given
        target = Target(stack, naming.namespace(stack), cluster.context_name, kubeconfig, embedded)
        return cls(stack, settings, target)

    @property
    def namespace(self) -> str:
        """The one namespace of the stack's objects."""
        return self.target.namespace

    @property
    def kubectl(self) -> Kubectl:
        """Kubectl for the stack's cluster.

        Raises:
            PlatformError: The stack is to run on an embedded cluster that was never made, or is down.
        """
        return self.target.kubectl(silent)

    def command(self, *arguments: str) -> list[str]:
        """A kubectl command on this namespace, for a caller that runs it by itself."""
        return [*self.kubectl.command, "--namespace", self.namespace, *arguments]
