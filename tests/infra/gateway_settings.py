"""The gateway as a stack's settings have it: what its component gets, and the configuration that it reads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from infra.components import gateway
from infra.components.gateway import GatewayArgs
from infra.components.postgres import PostgresEndpoint
from infra.components.redis import RedisEndpoint
from infra.naming import Stack
from infra.settings import Settings
from services.gateway.config import GatewayConfig

REDIS = RedisEndpoint(host="redis", port=6379, tls=False, secret="redis-auth")
POSTGRES = PostgresEndpoint(host="postgres", port=5432, tls=False, secret="postgres-auth")


def gateway_args(stack: Stack, settings: Settings, **changes: Any) -> GatewayArgs:
    own = GatewayArgs(
        stack=stack,
        settings=settings.gateway,
        auth=settings.auth,
        redis=REDIS,
        postgres=POSTGRES,
        image="x",
        tracing=settings.tracing,
    )
    return replace(own, **changes)


def gateway_config(stack: Stack, settings: Settings, **changes: Any) -> GatewayConfig:
    return GatewayConfig(**gateway.build_config(gateway_args(stack, settings, **changes)))
