"""Schemathesis on the gateway's OpenAPI document: every operation, all of its checks, on a real process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance
from schemathesis.specs.openapi.schemas import OpenApiSchema

from services.kit.conventions import MCP_PATH
from tests.services.gateway.conftest import Gateway, Launcher, Tokens

EXAMPLES = 25
"""Of each operation, in each mode; as many more as the profile has more examples than usual."""
FAR = 4_000_000_000
BEYOND_SCHEMAS = {MCP_PATH, "/admin/cache", "/admin/limits"}
"""Where OpenAPI can't say all that a good request is: what headers repeat of the body and each method needs;
that two parameters go together. What fits the schema may be refused there; all other checks hold."""
SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much]
SCOPES = "mcp:read mcp:call mcp:admin"


@pytest.fixture(scope="module")
def documented(shared: Launcher, odd: str, tokens: Tokens) -> Gateway:
    servers = [{"name": "odd", "urls": [odd]}]
    return shared.gateway({"auth": tokens.auth, "servers": servers, "upstream": {"list_seconds": 20}})


@pytest.fixture(scope="module")
def schema(documented: Gateway) -> OpenApiSchema:
    return schemathesis.openapi.from_url(f"{documented.url}/openapi.json")


def tried(cases: st.SearchStrategy[Any], send: Callable[[Any], object]) -> bool:
    """Send many of `cases`, a failed check being raised; False where there can be none of them."""
    profile = settings.get_profile(settings.get_current_profile_name())
    examples = EXAMPLES * profile.max_examples // 100

    # The document decides how quickly and how large examples can be made.
    @settings(max_examples=examples, suppress_health_check=SLOW)
    @given(case=cases)
    def run(case: Any) -> None:
        send(case)

    try:
        run()
    except Unsatisfiable:
        return False
    return True


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda it: it.value)
@pytest.mark.parametrize("authorized", [True, False])
def test_every_operation_is_as_documented(
    documented: Gateway, schema: OpenApiSchema, tokens: Tokens, mode: GenerationMode, *, authorized: bool
) -> None:
    headers = {"Authorization": f"Bearer {tokens.make(scope=SCOPES, exp=FAR)}"} if authorized else {}
    count = 0
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        of_ops = "servers" in schema.raw_schema["paths"][operation.path]
        base_url = documented.ops_url if of_ops else documented.url
        excluded = [positive_data_acceptance] if operation.path in BEYOND_SCHEMAS else None

        def send(case: Any, base_url: str = base_url, excluded: Any = excluded) -> None:
            case.call_and_validate(base_url=base_url, headers=headers, excluded_checks=excluded)

        count += tried(operation.as_strategy(generation_mode=mode), send)
    assert count > (5 if mode is GenerationMode.POSITIVE else 0)
    assert documented.process.popen.poll() is None
    assert not [line for line in documented.process.lines() if line["level"] == "error"]
