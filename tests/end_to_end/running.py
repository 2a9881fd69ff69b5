"""A running platform, as its user and as the cluster's administrator."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from infra.cluster import Cluster
from infra.engine.kubectl import Kubectl
from infra.naming import namespace
from tests.end_to_end.checkout import STACK, Checkout


@dataclass(frozen=True)
class Platform:
    """A running stack, as a user and as the cluster's administrator."""

    checkout: Checkout
    cluster: Cluster
    stack: str = STACK

    @property
    def namespace(self) -> str:
        return namespace(self.stack)

    @property
    def url(self) -> str:
        return self.cluster.gateway_url

    @property
    def kubectl(self) -> Kubectl:
        binary = self.cluster.toolbox.path("kubectl")
        return Kubectl(binary, self.cluster.spec.context, self.cluster.kubeconfig)

    def pods(self, service: str) -> list[str]:
        """The names of a service's pods that are not ending."""
        selector = f"--selector=app.kubernetes.io/name={service}"
        items = self.kubectl.list("pods", self.namespace, selector)
        return sorted(pod["metadata"]["name"] for pod in items if "deletionTimestamp" not in pod["metadata"])

    def token(self, *words: str) -> str:
        return self.checkout.must("token", "--stack", self.stack, "--subject", "tester", *words).out.strip()


@contextmanager
def brought_up(checkout: Checkout, stack: str) -> Generator[Platform]:
    """A stack that runs within the block, and of which nothing is left behind it."""
    platform = Platform(checkout, Cluster.named(checkout.cluster), stack)
    checkout.must("up", "--stack", stack, "--yes", timeout=3000)
    try:
        yield platform
    finally:
        checkout.must("down", "--stack", stack, "--yes", "--allow-data-loss")
    namespaces = platform.kubectl.must("get", "namespaces", "--output", "name").split()
    assert f"namespace/{platform.namespace}" not in namespaces
