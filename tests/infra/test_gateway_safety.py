"""The stack's settings of what servers' definitions and texts may bring, as the gateway reads them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import pytest

from infra.components import gateway
from infra.components.gateway import GatewayArgs
from infra.components.postgres import PostgresEndpoint
from infra.components.store import Endpoint
from infra.errors import PlatformError
from infra.naming import Stack
from infra.settings import Settings
from infra.settings.content import Content, SecretKind
from services.gateway.config import GatewayConfig
from services.gateway.config_content import Content as GatewayContent
from services.gateway.content.secrets import BUILT_IN

Configure = Callable[..., Settings]
REDIS = Endpoint(host="redis", port=6379, tls=False, secret="redis-auth")
POSTGRES = PostgresEndpoint(host="postgres", port=5432, tls=False, secret="postgres-auth")


def config_of(stack: Stack, settings: Settings) -> GatewayConfig:
    args = GatewayArgs(
        stack=stack,
        settings=settings.gateway,
        auth=settings.auth,
        redis=REDIS,
        postgres=POSTGRES,
        image="x",
    )
    return GatewayConfig(**gateway.build_config(args))


def test_the_gateway_treats_texts_as_the_stack_says(configure: Configure, stack: Stack) -> None:
    content: dict[str, Any] = {
        "leaks": "block",
        "leak_kinds": ["jwt", "assignment"],
        "leak_patterns": [{"name": "acme", "pattern": "acme_[a-z0-9]{32}"}],
        "max_result_bytes": 2048,
        "tools": [{"match": "a__*", "leaks": "off", "hidden_text": "keep"}],
    }
    found = config_of(stack, configure(gateway={"content": content})).content
    assert found.model_dump(exclude_none=True) == GatewayContent.model_validate(content).model_dump(
        exclude_none=True
    )


def test_what_a_stack_leaves_out_is_the_gateways_own_default(configure: Configure, stack: Stack) -> None:
    assert config_of(stack, configure()).content == GatewayContent()
    assert set(Content.model_fields) == set(GatewayContent.model_fields)
    assert get_args(SecretKind) == tuple(BUILT_IN)


def test_a_pattern_that_is_none_is_named(configure: Configure) -> None:
    patterns = [{"name": "acme", "pattern": "acme_["}]
    with pytest.raises(PlatformError, match=r"leak_patterns.*must be a regular expression"):
        configure(gateway={"content": {"leak_patterns": patterns}})
