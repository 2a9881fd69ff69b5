"""The stack's settings of streams, as the gateway reads them."""

from __future__ import annotations

from collections.abc import Callable

from infra.naming import Stack
from infra.settings import Settings
from infra.settings.subscriptions import Subscriptions
from services.gateway.config_subscriptions import Subscriptions as GatewaySubscriptions
from tests.infra.gateway_settings import gateway_config

Configure = Callable[..., Settings]


def subscriptions_of(stack: Stack, settings: Settings) -> GatewaySubscriptions:
    return gateway_config(stack, settings).subscriptions


def test_streams_are_as_the_stack_says(configure: Configure, stack: Stack) -> None:
    wanted = {
        "max_streams": 5,
        "max_streams_per_principal": 4,
        "max_resources": 3,
        "max_resources_per_server": 2,
        "keep_alive_seconds": 1.5,
    }
    found = subscriptions_of(stack, configure(gateway={"subscriptions": wanted}))
    assert found.model_dump() == wanted
    assert set(wanted) == set(Subscriptions.model_fields)


def test_what_a_stack_leaves_out_is_the_gateways_own_default(configure: Configure, stack: Stack) -> None:
    assert subscriptions_of(stack, configure()) == GatewaySubscriptions()
