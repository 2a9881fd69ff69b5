"""The table of contents of a stack that runs on a Docker engine: the same services, as containers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_docker as docker

from infra import naming
from infra.assembly_images import custom_image, service_image, store_images
from infra.components import gateway, gateway_pins, mcp_server, postgres, redis
from infra.components.docker.files import Configs
from infra.components.docker.generated import Generated, GeneratedArgs
from infra.components.docker.networks import EDGE, Networks, NetworksArgs, exit_of
from infra.components.docker.service import Service, ServiceArgs
from infra.components.pods import GRACE_SECONDS, Container
from infra.components.store import GRACE_SECONDS as STORE_GRACE_SECONDS
from infra.components.workload import build_service_container
from infra.labels import Component
from infra.naming import Stack
from infra.settings import Settings
from infra.settings.docker_engine import Docker
from infra.settings.groups import RedisStore, Store
from infra.settings.servers import AnyServer, CustomServer
from services.kit.conventions import MCP_PATH, MCP_PORT


def assemble_docker(stack: Stack, settings: Settings, engine: Docker) -> Mapping[str, Any]:
    """Declare everything that a stack on a Docker engine consists of.

    Returns:
        The stack's outputs.
    """
    provider = docker.Provider("engine")
    on_engine = pulumi.ResourceOptions(providers=[provider])
    servers = sorted(settings.servers)
    networks = Networks(
        "networks",
        NetworksArgs(
            stack=stack,
            services=[naming.REDIS, naming.POSTGRES, *servers],
            let_out=[name for name in servers if _let_out(settings.servers[name])],
            gateway_out=any(issuer.jwks_uri for issuer in settings.auth.issuers),
        ),
        on_engine,
    ).names
    made = GeneratedArgs(state_keys=settings.gateway.state_keys, dev_issuer=settings.auth.dev_issuer)
    secrets = Generated("generated", made).secrets

    def service(
        container: Container,
        component: Component,
        on: Sequence[str],
        *,
        after: Sequence[Service] = (),
        configs: Configs | None = None,
        grace_seconds: int = GRACE_SECONDS,
        port: int | None = None,
        once: bool = False,
        asked: bool = True,
    ) -> Service:
        args = ServiceArgs(
            stack=stack,
            component=component,
            container=container,
            configs=configs or {},
            secrets=secrets,
            networks=[networks[key] for key in on],
            grace_seconds=grace_seconds,
            port=port,
            once=once,
            after=after,
            asked=asked,
        )
        return Service(container.name, args, on_engine)

    stores = [
        service(container, component, [container.name], configs=configs, grace_seconds=STORE_GRACE_SECONDS)
        for container, component, configs in _stores(stack, settings)
    ]
    for name, server, container in _servers(stack, settings):
        service(container, "server", _networks_of(name, server), asked=not isinstance(server, CustomServer))
    front, migration, configs = _gateway(stack, settings)
    before = [
        service(container, "gateway", [naming.POSTGRES], after=stores, configs=configs, once=True)
        for container in migration
    ]
    service(
        front,
        "gateway",
        [EDGE, naming.REDIS, naming.POSTGRES, *servers],
        after=[*stores, *before],
        configs=configs,
        port=engine.port,
    )
    return {
        "namespace": stack.namespace,
        "gateway": naming.GATEWAY,
        "url": f"http://127.0.0.1:{engine.port}{MCP_PATH}",
        "servers": servers,
        "audience": settings.auth.audience,
    }


def _let_out(server: AnyServer) -> bool:
    return isinstance(server, CustomServer) and bool(server.egress_cidrs)


def _networks_of(name: str, server: AnyServer) -> list[str]:
    """One with the gateway, and where it may call the world, one with nobody."""
    return [name, exit_of(name)] if _let_out(server) else [name]


def _stores(stack: Stack, settings: Settings) -> list[tuple[Container, Component, Configs]]:
    """Redis and Postgres, without their exporters: nobody scrapes them here."""
    found: list[tuple[Container, Component, Configs]] = []
    if isinstance(settings.redis, RedisStore):
        image, exporter = store_images(naming.REDIS, settings.redis, settings, {})
        args = redis.RedisArgs(stack=stack, settings=settings.redis, image=image, exporter_image=exporter)
        configs = {naming.REDIS: redis.build_files(settings.redis)}
        found.append((redis.build_containers(args, settings.redis)[0], "cache", configs))
    if isinstance(settings.postgres, Store):
        image, exporter = store_images(naming.POSTGRES, settings.postgres, settings, {})
        database = postgres.PostgresArgs(
            stack=stack, settings=settings.postgres, image=image, exporter_image=exporter
        )
        found.append((postgres.build_containers(database, settings.postgres)[0], "database", {}))
    return found


def _servers(stack: Stack, settings: Settings) -> list[tuple[str, AnyServer, Container]]:
    """The tool servers; one image holds all of the platform's own kinds."""
    own = [server for server in settings.servers.values() if not isinstance(server, CustomServer)]
    shared: pulumi.Input[str] = service_image("servers", settings, {}) if own else ""
    found: list[tuple[str, AnyServer, Container]] = []
    for name, server in sorted(settings.servers.items()):
        image = custom_image(name, server, settings, {}) if isinstance(server, CustomServer) else shared
        args = mcp_server.McpServerArgs(stack=stack, settings=server, image=image)
        found.append((name, server, build_service_container(name, mcp_server.build_workload(name, args))))
    return found


def _gateway(stack: Stack, settings: Settings) -> tuple[Container, list[Container], Configs]:
    """The gateway, what runs before it, and the contents of their files."""
    args = gateway.GatewayArgs(
        stack=stack,
        settings=settings.gateway,
        auth=settings.auth,
        redis=redis.RedisEndpoint(host=naming.REDIS, port=redis.PORT, tls=False, secret=redis.AUTH_SECRET),
        postgres=postgres.PostgresEndpoint(
            host=naming.POSTGRES, port=postgres.PORT, tls=False, secret=postgres.AUTH_SECRET
        ),
        image=service_image("gateway", settings, {}),
        only_server=next(iter(settings.servers)) if settings.gateway.names == "plain" else None,
        servers={name: f"http://{name}:{MCP_PORT}{MCP_PATH}" for name in sorted(settings.servers)},
    )
    files = gateway.build_files(args)
    workload = gateway.build_workload(naming.GATEWAY, args, files)
    pinning = settings.gateway.pinning
    configs = {
        naming.GATEWAY: files,
        naming.GATEWAY_POLICY: gateway.read_policy(settings.gateway),
        naming.GATEWAY_LOCK: gateway_pins.read_lock(pinning) if pinning else {},
    }
    return build_service_container(naming.GATEWAY, workload), list(workload.init), configs
