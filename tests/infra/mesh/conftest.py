from __future__ import annotations

import pytest

from infra.engine.graph import Graph
from tests.infra.mesh.stacks import NAMES, evaluate_in_mesh


@pytest.fixture(scope="session", params=NAMES)
def meshed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """A stack in a mesh, in each mode."""
    return evaluate_in_mesh(tmp_path_factory.mktemp("meshed"), request.param)
