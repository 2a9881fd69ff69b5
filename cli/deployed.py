"""A stack as its settings say that it is deployed."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra import naming
from infra.cluster import Cluster, silent
from infra.engine import project
from infra.engine.health import Check, checks
from infra.engine.kubectl import Kubectl
from infra.engine.record import REPOSITORY
from infra.engine.target import Target
from infra.errors import PlatformError
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
            PlatformError: There is no such stack, its settings are wrong, or it runs on Docker.
        """
        settings = parse(stack, project.load(root, stack).config)
        cluster = settings.cluster
        if cluster.docker is not None:
            raise PlatformError(
                f"stack {stack} runs on Docker, and this needs a stack on Kubernetes",
                hint="docs/guides/docker.md has what there is instead",
            )
        embedded = Cluster.named(cluster.embedded) if cluster.embedded else None
        given = Path(cluster.kubeconfig).expanduser() if cluster.kubeconfig else None
        kubeconfig = embedded.kubeconfig if embedded else given
        others = (naming.logging_namespace(stack),) if settings.logging else ()
        target = Target(stack, naming.namespace(stack), cluster.context_name, kubeconfig, embedded, others)
        return cls(stack, settings, target)

    @property
    def namespace(self) -> str:
        """The namespace of the stack's objects, but for those that collect logs."""
        return self.target.namespace

    @property
    def kubectl(self) -> Kubectl:
        """Kubectl for the stack's cluster.

        Raises:
            PlatformError: The stack is to run on an embedded cluster that was never made, or is down.
        """
        return self.target.kubectl(silent)

    def checks(self) -> Iterator[Check]:
        """What `verify` asks the cluster."""
        return checks(self.kubectl, self.target.namespaces)

    def issuer(self) -> dict[str, str]:
        """What the stack keeps of its development issuer: private.pem, issuer, audience.

        Raises:
            PlatformError: It is not in the cluster.
        """
        secret = self.kubectl.get("secret", self.namespace, naming.TOKEN_ISSUER)
        if secret is None:
            raise PlatformError(
                f"stack {self.stack}: there is no Secret {self.namespace}/{naming.TOKEN_ISSUER}",
                hint=f"mcpctl up --stack {self.stack} makes it",
            )
        return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}

    def command(self, *arguments: str) -> list[str]:
        """A kubectl command on this namespace, for a caller that runs it by itself."""
        return [*self.kubectl.command, "--namespace", self.namespace, *arguments]
