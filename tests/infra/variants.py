"""The stack prod with other settings than the repository's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from infra.engine.graph import Graph
from infra.engine.record import record

REPOSITORY = Path(__file__).resolve().parents[2]
PREFIX = "mcp-platform:"


def evaluate_prod(folder: Path, **groups: Mapping[str, Any]) -> Graph:
    """The graph of prod with some keys of its groups set."""
    config = yaml.safe_load((REPOSITORY / "Pulumi.prod.yaml").read_text())["config"]
    for group, values in groups.items():
        config[f"{PREFIX}{group}"] = {**config.get(f"{PREFIX}{group}", {}), **values}
    (folder / "Pulumi.yaml").write_text(f"name: mcp-platform\nruntime: python\nmain: {REPOSITORY}/infra/\n")
    (folder / "Pulumi.prod.yaml").write_text(yaml.safe_dump({"config": config}))
    return record("prod", project=folder)
