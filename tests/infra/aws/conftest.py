from __future__ import annotations

import pytest

from infra.engine.graph import Graph, Resource
from tests.infra.variants import evaluate_prod

EVERYTHING = {
    "vpc": {
        "id": "vpc-0a1b2c3d",
        "subnets": ["subnet-0a1b2c3d", "subnet-0a1b2c3e"],
        "clients": ["sg-0a1b2c3d"],
    },
    "database": {},
    "cache": {},
    "waf": {"requests_per_five_minutes": 3000},
    "backups": {"retention_days": 35, "lock_days": 30, "archive_days": 7, "log_bucket": "access-logs"},
}


@pytest.fixture(scope="session")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """The stack prod with all that it can have in an account."""
    return evaluate_prod(tmp_path_factory.mktemp("prod"), aws=EVERYTHING)


@pytest.fixture(scope="session")
def declared(graph: Graph) -> list[Resource]:
    """What of it is AWS's, in an order in which it can be made."""
    return [item for item in graph.resources if item.custom and item.type.startswith("aws:")]
