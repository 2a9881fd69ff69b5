"""The stack's settings of the search for tools, as the gateway reads them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from infra.naming import Stack
from infra.settings import Settings
from infra.settings.search import Search
from services.gateway.config_search import Search as GatewaySearch
from tests.infra.gateway_settings import gateway_config

Configure = Callable[..., Settings]


def search_of(stack: Stack, settings: Settings) -> GatewaySearch | None:
    return gateway_config(stack, settings).search


@pytest.mark.parametrize(
    "wanted",
    [
        {"list_all": False, "always_listed": ("filesystem__*",), "max_results": 7},
        {"list_all": True, "always_listed": (), "max_results": 100},
    ],
)
def test_the_search_is_as_the_stack_says(configure: Configure, stack: Stack, wanted: dict[str, Any]) -> None:
    found = search_of(stack, configure(gateway={"search": wanted}))
    assert found is not None
    assert found.model_dump() == wanted
    assert set(wanted) == set(Search.model_fields)


def test_there_is_none_unless_the_stack_says_so(configure: Configure, stack: Stack) -> None:
    assert search_of(stack, configure()) is None
    assert search_of(stack, configure(gateway={"search": {}})) == GatewaySearch()
