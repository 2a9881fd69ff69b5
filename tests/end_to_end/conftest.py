"""One cluster for all scenarios, taken down without a trace; each module has a stack of its own on it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.cluster import Cluster, silent
from tests.end_to_end.checkout import STACK, Checkout
from tests.end_to_end.running import Platform, brought_up


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """Its cluster is made by the first `up`."""
    if os.geteuid() != 0:
        pytest.skip("the embedded Kubernetes needs root")
    name = f"e2e-{secrets.token_hex(3)}"
    folder: Path = tmp_path_factory.mktemp("checkout")
    cluster = Cluster.named(name)
    try:
        yield Checkout.copy_to(folder, name)
    finally:
        cluster.down(silent)
        cluster.down(silent, purge=True, keep_tools=True)


@pytest.fixture(scope="module")
def platform(checkout: Checkout) -> Iterator[Platform]:
    """The stack dev."""
    with brought_up(checkout, STACK) as platform:
        yield platform
