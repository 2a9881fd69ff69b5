"""Stacks in a mesh: the repository's prod, the same with sidecars, and a development stack in both modes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.engine.graph import Graph
from infra.engine.manifest import manifests
from infra.naming import namespace
from tests.evaluated import evaluated
from tests.infra.test_variants import SERVERS, evaluate
from tests.infra.variants import evaluate_prod

NAMES = ("prod", "prod with sidecars", "dev", "dev with sidecars")


def evaluate_in_mesh(folder: Path, name: str) -> Graph:
    match name:
        case "prod":
            return evaluated("prod")
        case "prod with sidecars":
            return evaluate_prod(folder, mesh={"mode": "sidecar", "waypoint": {}})
        case "dev":
            return evaluate(folder, **SERVERS, mesh={})
        case _:
            return evaluate(folder, **SERVERS, mesh={"mode": "sidecar", "revision": "stable"})


def bodies(graph: Graph) -> list[Mapping[str, Any]]:
    """The objects of the stack's own namespace, which alone is in the mesh."""
    own = namespace(graph.stack)
    return [item.body for item in manifests(graph) if own in {item.namespace, item.name}]
