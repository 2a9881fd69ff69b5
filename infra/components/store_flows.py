"""The connections among the members of replicated stores, and with those who look after them. Pure."""

from __future__ import annotations

from infra.components import postgres_cluster as cluster
from infra.components.platform_flows import HTTPS_PORT, dns, store_pods
from infra.components.postgres import PostgresEndpoint
from infra.components.redis import RedisEndpoint
from infra.components.redis_members import SENTINEL_PORT
from infra.flows import Flow, Namespace, Networks, credentials_agent, outside, service
from infra.naming import GATEWAY, POSTGRES, REDIS
from infra.settings.groups import Network
from infra.settings.replication import PostgresReplication


def redis_flows(settings: Network, endpoint: RedisEndpoint) -> list[Flow]:
    """Who asks Sentinels, and what members tell each other; nothing for a server that is alone."""
    if not endpoint.sentinels:
        return []
    members = service(REDIS)
    return [
        Flow(source=service(GATEWAY), target=members, port=SENTINEL_PORT),
        Flow(source=members, target=members, port=endpoint.port),
        Flow(source=members, target=members, port=SENTINEL_PORT),
        *dns(settings, members),
    ]


def postgres_flows(
    settings: Network,
    endpoint: PostgresEndpoint,
    replication: PostgresReplication | None,
    *,
    pod_identity: bool,
) -> list[Flow]:
    """What instances need; nothing for a server that is alone.

    Args:
        settings: The cluster's addresses around the stack.
        endpoint: Where the instances are.
        replication: How they are kept.
        pod_identity: Whether their role comes from the node's agent.
    """
    if replication is None:
        return []
    instances = store_pods(POSTGRES, endpoint)
    operator = Namespace(name=replication.operator_namespace, pods=cluster.OPERATOR)
    prometheus = Namespace(name=settings.monitoring_namespace)
    archive = replication.archive
    return [
        *(
            Flow(source=source, target=instances, port=port)
            for source in (instances, operator)
            for port in (endpoint.port, cluster.STATUS_PORT)
        ),
        Flow(source=prometheus, target=instances, port=cluster.METRICS_PORT),
        Flow(
            source=instances,
            target=Networks(cidrs=settings.api_server_cidrs),
            port=settings.api_server_port,
        ),
        *dns(settings, instances),
        *(outside(instances, archive.cidrs, HTTPS_PORT) if archive else []),
        *([credentials_agent(instances)] if archive and pod_identity else []),
    ]
