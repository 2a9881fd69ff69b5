"""The stack prod with other settings than the repository's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from infra.engine.graph import Graph
from tests.evaluated import evaluated

REPOSITORY = Path(__file__).resolve().parents[2]
PREFIX = "mcp-platform:"
VPC = {
    "id": "vpc-0a1b2c3d",
    "subnets": ["subnet-0a1b2c3d", "subnet-0a1b2c3e"],
    "clients": ["sg-0a1b2c3d"],
}
STORES: dict[str, Any] = {"vpc": VPC, "database": {}, "cache": {}}
"""Of the group `aws`: a database and a cache by AWS, and where they stand."""


def evaluate_prod(folder: Path, **groups: Mapping[str, Any]) -> Graph:
    """The graph of prod with some keys of its groups set."""
    config = yaml.safe_load((REPOSITORY / "Pulumi.prod.yaml").read_text())["config"]
    for group, values in groups.items():
        config[f"{PREFIX}{group}"] = {**config.get(f"{PREFIX}{group}", {}), **values}
    _write(folder, "prod", config)
    return evaluated("prod", project=folder)


def evaluate_prod_with(folder: Path, **groups: Mapping[str, Any]) -> Graph:
    """The graph of prod with some groups replaced as a whole."""
    config = yaml.safe_load((REPOSITORY / "Pulumi.prod.yaml").read_text())["config"]
    _write(folder, "prod", config | {f"{PREFIX}{group}": values for group, values in groups.items()})
    return evaluated("prod", project=folder)


def without(folder: Path, stack: str, group: str) -> Path:
    """A project folder with one of the repository's stacks, which lacks a group of settings."""
    config = yaml.safe_load((REPOSITORY / f"Pulumi.{stack}.yaml").read_text())["config"]
    config.pop(f"{PREFIX}{group}", None)
    _write(folder, stack, config)
    return folder


def _write(folder: Path, stack: str, config: Mapping[str, Any]) -> None:
    (folder / "Pulumi.yaml").write_text(f"name: mcp-platform\nruntime: python\nmain: {REPOSITORY}/infra/\n")
    (folder / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump({"config": config}))
