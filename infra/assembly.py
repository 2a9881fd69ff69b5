"""The platform's table of contents: what a stack consists of, and what depends on what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from infra import naming
from infra.assembly_aws import AwsSide, assemble_aws
from infra.assembly_backup import Stores, assemble_backup, patience
from infra.assembly_edge import assemble_edge
from infra.assembly_images import (
    PushedTo,
    custom_image,
    folder_image,
    is_built,
    own_image,
    service_image,
    store_images,
)
from infra.assembly_mesh import assemble_mesh
from infra.assembly_secrets import assemble_secrets, secret_source
from infra.assembly_stores import is_archived, is_built_here, members_of, operated_stores, store_flows
from infra.assembly_telemetry import assemble_telemetry, is_collector_built
from infra.components.cnpg import CLUSTER_LABEL
from infra.components.collector_pods import IMAGE as COLLECTOR_IMAGE
from infra.components.gateway import Gateway, GatewayArgs
from infra.components.mcp_server import McpServer, McpServerArgs
from infra.components.namespace import Namespace, NamespaceArgs
from infra.components.network import Network, NetworkArgs
from infra.components.platform_flows import PlatformFlowsArgs, platform_flows
from infra.components.postgres import Postgres, PostgresArgs
from infra.components.postgres_cluster import METRICS_PORT_NAME
from infra.components.priority import Priorities
from infra.components.redis import Redis, RedisArgs
from infra.labels import Component
from infra.mesh.membership import namespace_labels, server_labels
from infra.naming import Stack
from infra.settings import Settings
from infra.settings.groups import Store
from infra.settings.servers import CustomServer

_SERVICE_IMAGES = ("gateway", "servers")


def assemble(stack_name: str, settings: Settings) -> Mapping[str, Any]:
    """Declare everything that a stack consists of.

    Returns:
        The stack's outputs.
    """
    stack = Stack(stack_name, production=settings.production, secrets=secret_source(stack_name, settings))
    if settings.cluster.docker is not None:
        from infra.assembly_docker import assemble_docker  # noqa: PLC0415 - loads a provider that few stacks need

        return assemble_docker(stack, settings, settings.cluster.docker)
    provider = _cluster(settings)
    namespace = Namespace(
        stack.namespace,
        NamespaceArgs(stack=stack, quota=settings.quota, labels=namespace_labels(settings.mesh)),
        pulumi.ResourceOptions(providers=[provider]),
    )
    priorities = Priorities("priorities", stack, pulumi.ResourceOptions(providers=[provider]))
    inside = pulumi.ResourceOptions(providers=[provider], depends_on=[namespace, priorities])

    assemble_secrets(stack, settings, inside)
    aws = _aws(stack, settings)
    pushed_to = aws.repositories if aws else {}
    gateway_image = service_image("gateway", settings, pushed_to)
    redis_image, redis_exporter = store_images(naming.REDIS, settings.redis, settings, pushed_to)
    postgres_image, postgres_exporter = store_images(naming.POSTGRES, settings.postgres, settings, pushed_to)

    redis = Redis(
        naming.REDIS,
        RedisArgs(stack=stack, settings=settings.redis, image=redis_image, exporter_image=redis_exporter),
        inside,
    )
    postgres = Postgres(
        naming.POSTGRES,
        PostgresArgs(
            stack=stack,
            settings=settings.postgres,
            image=postgres_image,
            exporter_image=postgres_exporter,
            archive=aws.archive if aws else None,
        ),
        inside,
    )
    _servers(stack, settings, pushed_to, inside)
    gateway = Gateway(
        naming.GATEWAY,
        GatewayArgs(
            stack=stack,
            settings=settings.gateway,
            auth=settings.auth,
            redis=redis.endpoint,
            postgres=postgres.endpoint,
            image=gateway_image,
            tracing=settings.tracing,
            only_server=next(iter(settings.servers)) if settings.gateway.names == "plain" else None,
            in_mesh=settings.mesh is not None,
        ),
        inside,
    )
    flows = platform_flows(
        PlatformFlowsArgs(
            settings=settings.network,
            issuer_cidrs=sorted({cidr for issuer in settings.auth.issuers for cidr in issuer.cidrs}),
            server_egress={
                name: server.egress_cidrs
                for name, server in settings.servers.items()
                if isinstance(server, CustomServer)
            },
            redis=redis.endpoint,
            postgres=postgres.endpoint,
            tracing=settings.tracing,
        )
    )
    flows += store_flows(settings, redis.endpoint, postgres.endpoint)
    flows += assemble_edge(stack, settings, inside)
    telemetry = assemble_telemetry(
        stack, settings, lambda name: folder_image(name, settings, pushed_to), provider, inside
    )
    flows += telemetry.flows
    stores = Stores(postgres=postgres.endpoint, redis=redis.endpoint, server=postgres_image)
    flows += assemble_backup(stack, settings, pushed_to, stores, inside)
    flows += assemble_mesh(stack, settings, _services(settings), flows, inside)
    outlive = frozenset({naming.DEFAULT_DENY, *operated_stores(settings)})
    Network("network", NetworkArgs(stack=stack, flows=flows, outlive=outlive), inside)
    namespaces = [namespace, *([telemetry.logging] if telemetry.logging else [])]
    _monitoring(stack, settings, pulumi.ResourceOptions(providers=[provider], depends_on=namespaces))
    return {
        "namespace": stack.namespace,
        "context": settings.cluster.context_name,
        "embedded": settings.cluster.embedded,
        "gateway": gateway.name,
        "servers": sorted(settings.servers),
        "audience": settings.auth.audience,
        **(aws.outputs if aws else {}),
    }


def _cluster(settings: Settings) -> kubernetes.Provider:
    """The one provider: a named context, so whatever kubectl points at is never deployed to by accident."""
    cluster = settings.cluster
    return kubernetes.Provider(
        "cluster",
        context=cluster.context_name,
        kubeconfig=cluster.kubeconfig,
        # Renewed credentials are not a new cluster; without this, every object would be replaced.
        cluster_identifier=cluster.context_name,
        enable_server_side_apply=True,
        # Updated in place: a replacement would need a new name, and names are fixed here.
        enable_config_map_mutable=True,
        enable_secret_mutable=True,
    )


def _aws(stack: Stack, settings: Settings) -> AwsSide | None:
    """What the stack keeps in its AWS account, if it has one."""
    if settings.aws is None:
        return None
    stores = ((naming.REDIS, settings.redis), (naming.POSTGRES, settings.postgres))
    built = [name for name, store in stores if is_built_here(store)]
    brought = [own_image(name) for name, server in sorted(settings.servers.items()) if is_built(server)]
    collector = [COLLECTOR_IMAGE] if is_collector_built(settings) else []
    images = [*_SERVICE_IMAGES, *built, *collector, *brought]
    if settings.backup:
        images += [naming.BACKUP, *([] if naming.POSTGRES in images else [naming.POSTGRES])]
    archived = is_archived(settings.postgres)
    return assemble_aws(stack, settings.aws, settings.images.registry, images, archived=archived)


def _servers(stack: Stack, settings: Settings, pushed_to: PushedTo, opts: pulumi.ResourceOptions) -> None:
    """The tool servers; one image holds all of the platform's own kinds."""
    own = [server for server in settings.servers.values() if not isinstance(server, CustomServer)]
    shared: pulumi.Input[str] = service_image("servers", settings, pushed_to) if own else ""
    for name, server in sorted(settings.servers.items()):
        image = (
            custom_image(name, server, settings, pushed_to) if isinstance(server, CustomServer) else shared
        )
        args = McpServerArgs(
            stack=stack,
            settings=server,
            image=image,
            tracing=settings.tracing,
            service_labels=server_labels(settings.mesh),
        )
        McpServer(name, args, opts)


def _services(settings: Settings) -> dict[str, Component]:
    """Every service whose pods are ours, and what part it plays."""
    services: dict[str, Component] = {naming.GATEWAY: "gateway"}
    services |= dict.fromkeys(settings.servers, "server")
    if isinstance(settings.redis, Store):
        services[naming.REDIS] = "cache"
    if isinstance(settings.postgres, Store) and naming.POSTGRES not in operated_stores(settings):
        services[naming.POSTGRES] = "database"
    if settings.tracing is not None and settings.tracing.collector is not None:
        services[naming.COLLECTOR] = "telemetry"
    return services


def _monitoring(stack: Stack, settings: Settings, opts: pulumi.ResourceOptions) -> None:
    """What Prometheus and Grafana read; a store that somebody else runs is theirs to watch."""
    if settings.monitoring is None:
        return
    from infra.components.monitoring import Monitoring, MonitoringArgs, Operated  # noqa: PLC0415 - loads Grafana's library

    operated = {
        name: Operated(pods=pods, job_label=CLUSTER_LABEL, port_name=METRICS_PORT_NAME)
        for name, pods in operated_stores(settings).items()
    }
    args = MonitoringArgs(
        stack=stack,
        settings=settings.monitoring,
        services=_services(settings),
        members=members_of(settings),
        operated=operated,
        logging=settings.logging is not None,
        backups=patience(settings),
    )
    Monitoring("monitoring", args, opts)
