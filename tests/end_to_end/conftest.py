"""One platform for the whole scenario: brought up once, taken down without a trace."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.cluster import Cluster, silent
from tests.end_to_end.checkout import STACK, Checkout
from tests.end_to_end.running import Platform


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    if os.geteuid() != 0:
        pytest.skip("the embedded Kubernetes needs root")
    name = f"e2e-{secrets.token_hex(3)}"
    folder: Path = tmp_path_factory.mktemp("checkout")
    cluster = Cluster.named(name)
    try:
        checkout = Checkout.copy_to(folder, name)
        checkout.must("up", "--stack", STACK, "--yes", timeout=3000)
        yield Platform(checkout, cluster)
    finally:
        cluster.down(silent)
        cluster.down(silent, purge=True, keep_tools=True)
