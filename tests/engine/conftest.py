from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Generator
from pathlib import Path

import pytest

from infra.cluster import Cluster, silent, tool
from infra.engine.target import Target
from tests.cluster.control_plane import install_crds
from tests.engine.stack import Stack

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def helm() -> Path:
    return tool("helm", silent)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Generator[Cluster]:
    """A cluster of these tests' own; MCP_TEST_CLUSTER names one that runs already, while developing."""
    if os.geteuid() != 0:
        pytest.skip("the embedded Kubernetes needs root")
    if given := os.environ.get("MCP_TEST_CLUSTER"):
        yield Cluster.named(given)
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(tmp_path_factory.mktemp("kube") / "config"))
        made = Cluster.named(f"engine-{secrets.token_hex(3)}")
        try:
            made.up(silent)
            yield made
        finally:
            made.down(silent, purge=True, keep_tools=True)


@pytest.fixture
def stack(cluster: Cluster, tmp_path: Path) -> Generator[Stack]:
    """A stack of its own name, which is gone after the test."""
    name = f"t{next(_NUMBERS)}-{secrets.token_hex(2)}"
    target = Target(name, f"mcp-{name}", f"mcp-{cluster.name}", cluster.kubeconfig, cluster)
    made = Stack.make(target, tmp_path / "program")
    yield made
    made.kubectl.run("delete", "namespace", target.namespace, "--ignore-not-found", "--wait=false")


@pytest.fixture
def database_kind(stack: Stack) -> Generator[None]:
    """CloudNativePG's kind of a database, without its operator."""
    install_crds(
        stack.kubectl,
        "github.com/cloudnative-pg/cloudnative-pg",
        "config/crd/bases/postgresql.cnpg.io_clusters.yaml",
    )
    yield
    stack.kubectl.must("delete", "customresourcedefinition", "clusters.postgresql.cnpg.io", timeout=120)
