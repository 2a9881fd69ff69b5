"""The stack's settings of what one request may cost, as the gateway reads them."""

from __future__ import annotations

from collections.abc import Callable

from infra.naming import Stack
from infra.settings import Settings
from infra.settings.requests import RequestBounds
from services.gateway.config_requests import Requests
from tests.infra.gateway_settings import gateway_config

Configure = Callable[..., Settings]


def requests_of(stack: Stack, settings: Settings) -> Requests:
    return gateway_config(stack, settings).requests


def test_requests_are_bounded_as_the_stack_says(configure: Configure, stack: Stack) -> None:
    wanted = {
        "max_head_bytes": 8192,
        "max_header_fields": 50,
        "max_body_bytes": 2048,
        "body_seconds": 5,
        "deadline_seconds": 77,
        "unread_seconds": 6,
        "input_seconds": 8,
    }
    found = requests_of(stack, configure(gateway={"requests": wanted, "allowed_hosts": ["a.example"]}))
    assert found.model_dump(include=set(wanted)) == wanted
    assert found.allowed_hosts == ("a.example",)
    assert set(wanted) == set(RequestBounds.model_fields)


def test_what_a_stack_leaves_out_is_the_gateways_own_default(configure: Configure, stack: Stack) -> None:
    assert requests_of(stack, configure()) == Requests()
