from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from pulumi._types import input_type_to_dict, is_input_type

from infra.engine.graph import Graph
from infra.naming import Stack
from infra.settings import Settings, parse
from tests.evaluated import evaluated

AUTH = {"audience": "http://127.0.0.1:8080/mcp", "dev_issuer": True}
CLUSTER = {"embedded": "default"}
NETWORK = {"api_server_cidrs": ["10.250.0.0/16"]}


@pytest.fixture(scope="session", params=["dev", "prod"])
def graph(request: pytest.FixtureRequest) -> Graph:
    """Each stack of the repository, as a preview evaluates it."""
    return evaluated(request.param)


@pytest.fixture(scope="session")
def deployed(graph: Graph) -> Graph:
    """The same stack as a deployment evaluates it: passwords and keys are there."""
    outputs = {"result": "hunter2", "privateKeyPem": "private", "publicKeyPem": "public", "id": "made"}
    made = {item.urn: outputs for item in graph.resources if item.type.startswith(("random:", "tls:"))}
    return evaluated(graph.stack, dry_run=False, generated=made)


@pytest.fixture
def stack() -> Stack:
    return Stack("dev", production=False)


@pytest.fixture
def configure() -> Callable[..., Settings]:
    """Parse the smallest configuration there is, with some top-level keys replaced (None removes one)."""

    def parsed(**groups: Any) -> Settings:
        values = {
            "environment": "development",
            "auth": AUTH,
            "cluster": CLUSTER,
            "network": NETWORK,
            **groups,
        }
        return parse(
            "dev",
            {f"mcp-platform:{key}": as_text(value) for key, value in values.items() if value is not None},
        )

    return parsed


def as_text(value: Any) -> str:
    """As Pulumi hands a value to a program: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


@pytest.fixture(scope="session")
def plain() -> Callable[[object], Any]:
    """Generated `*Args` as the data that Kubernetes gets: camelCase keys, what is not set left out."""
    return _plain


def _plain(value: object) -> Any:
    if is_input_type(type(value)):
        value = input_type_to_dict(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
