from __future__ import annotations

import pytest

from infra.engine.graph import Graph, Resource
from infra.secret_source import SecretSource
from tests.infra.variants import STORES, evaluate_prod

EVERYTHING = {
    **STORES,
    "waf": {"requests_per_five_minutes": 3000},
    "backups": {"retention_days": 35, "lock_days": 30, "archive_days": 7, "log_bucket": "access-logs"},
}
SOURCE = SecretSource(
    kind="SecretStore",
    name="secrets-manager",
    prefix="mcp-platform/prod/",
    refresh_minutes=60,
    entries={"database-owner": "rds!db-1"},
)


@pytest.fixture(scope="session")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """The stack prod with all that it can have in an account."""
    return evaluate_prod(tmp_path_factory.mktemp("prod"), aws=EVERYTHING)


@pytest.fixture(scope="session")
def declared(graph: Graph) -> list[Resource]:
    """What of it is AWS's, in an order in which it can be made."""
    return [item for item in graph.resources if item.custom and item.type.startswith("aws:")]
