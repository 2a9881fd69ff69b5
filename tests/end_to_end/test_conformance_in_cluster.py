"""MCP's conformance suite against a stack whose only server is its fixture, brought in as a user would."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.conformance.expected import REQUIRED, TASKS, check
from tests.conformance.hop import Hop
from tests.conformance.suite import run
from tests.end_to_end.checkout import Checkout
from tests.end_to_end.running import Platform, brought_up

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

STACK = "dev-conformance"
FIXTURE = {
    "kind": "custom",
    "build": {"context": ".", "dockerfile": "tests/conformance/Dockerfile"},
    "health": "port",
    "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"cpu": "1"}},
}


@pytest.fixture(scope="module")
def hop() -> Iterator[Hop]:
    hop = Hop()
    yield hop
    hop.close()


@pytest.fixture(scope="module")
def gateway(checkout: Checkout, hop: Hop) -> Iterator[Platform]:
    """Its gateway, which the hop leads to with a token."""

    def fixture_only(config: dict[str, Any]) -> None:
        config["servers"] = {"fixture": FIXTURE}
        config["gateway"] |= {
            "names": "plain",
            "tasks": TASKS,
            # What the suite's requests come with; any other Host or Origin must be refused.
            "allowed_hosts": ["127.0.0.1"],
            "allowed_origins": [hop.origin],
        }

    checkout.edit(fixture_only, STACK)
    with brought_up(checkout, STACK) as platform:
        port = urlsplit(platform.url).port
        assert port is not None
        hop.lead_to(port, platform.token())
        yield platform


def test_the_only_server_is_verified_by_its_plain_names(gateway: Platform) -> None:
    assert "server fixture" in gateway.checkout.must("verify", "--stack", STACK).out
    listed = gateway.checkout.must("tools", "--stack", STACK, "--json").json()
    assert "test_simple_text" in {tool["name"] for tool in listed}


def test_without_the_hops_token_nobody_gets_in(gateway: Platform) -> None:
    assert httpx2.post(f"{gateway.url}/mcp", json={}, trust_env=False).status_code == 401


@pytest.mark.usefixtures("gateway")
@pytest.mark.parametrize("revision", REQUIRED)
def test_the_gateway_conforms(hop: Hop, tmp_path: Path, revision: str) -> None:
    check(revision, run(f"{hop.origin}/mcp", revision, tmp_path))
