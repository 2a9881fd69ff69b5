"""The gateway: the one front door for MCP clients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pulumi
import yaml
from pulumi_kubernetes.core import v1
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.rbac.v1 import PolicyRuleArgs

from infra.components import gateway_database as database
from infra.components import gateway_pins as pins
from infra.components.mounts import Files, api_access, files
from infra.components.postgres import PostgresEndpoint
from infra.components.redis import RedisEndpoint, build_client
from infra.components.state_keys import StateKeys, StateKeysArgs, state_key_files
from infra.components.token_issuer import TokenIssuer, TokenIssuerArgs
from infra.components.workload import Exposure, Workload, WorkloadArgs
from infra.errors import PlatformError
from infra.hashing import config_hash
from infra.labels import labels
from infra.naming import GATEWAY_POLICY, ISSUER_KEYS, STATE_KEYS, TOKEN_ISSUER, Stack, dev_issuer
from infra.quantities import size_bytes
from infra.settings import workloads as settings
from infra.settings.groups import DEV_ISSUER_NAME, Auth
from infra.settings.telemetry import Tracing
from infra.settings.traffic import ResponseCache
from services.kit.conventions import MCP_PORT, OPS_PORT

CONFIG_PATH: Final = "/etc/mcp-gateway"
REDIS_PATH: Final = "/run/secrets/redis"
STATE_PATH: Final = "/run/secrets/state"

STREAM_SECONDS: Final = 300
"""The longest that a server's answer may go on as a stream."""

POLICY_PATH: Final = "/etc/mcp-gateway-policy"
"""Not below CONFIG_PATH: the policy changes in running pods, the configuration with new ones."""

_PROJECT: Final = Path(__file__).resolve().parents[2]
_POLICY_FILE: Final = "policy.yaml"
_PASSWORD_FILE: Final = "password"  # noqa: S105 - a file's name
_CONFIG_FILE: Final = "config.yaml"
_DEV_KEY: Final = f"{DEV_ISSUER_NAME}.pem"


@dataclass(frozen=True, kw_only=True, slots=True)
class GatewayArgs:
    """The gateway of one stack.

    Attributes:
        stack: The stack.
        settings: How it runs and how it is reached.
        auth: Whose tokens it accepts.
        redis: What its replicas share.
        postgres: Where it keeps what must not be lost.
        image: Image reference.
        tracing: Where its traces go; None for nowhere.
        only_server: The one server that there is, where names are plain.
        in_mesh: Whether a mesh chooses the pods that servers are asked at.
        servers: URL of each server's endpoint where nobody tells which there are; None where Kubernetes does.
    """

    stack: Stack
    settings: settings.Gateway
    auth: Auth
    redis: RedisEndpoint
    postgres: PostgresEndpoint
    image: pulumi.Input[str]
    tracing: Tracing | None = None
    only_server: str | None = None
    in_mesh: bool = False
    servers: Mapping[str, str] | None = None


def build_config(args: GatewayArgs) -> dict[str, Any]:
    """What the gateway's configuration file says; `services/gateway/config.py` reads it."""
    stack, gateway, auth = args.stack, args.settings, args.auth
    tracing = args.tracing
    issuers: list[dict[str, Any]] = [
        {"issuer": issuer.issuer, "jwks": {"uri": issuer.jwks_uri}}
        if issuer.jwks_uri
        else {"issuer": issuer.issuer, "public_key_file": f"{CONFIG_PATH}/issuers/{issuer.name}.pem"}
        for issuer in auth.issuers
    ]
    if auth.dev_issuer:
        key_file = f"{CONFIG_PATH}/issuers/{_DEV_KEY}"
        issuers.append({"issuer": dev_issuer(stack.name), "public_key_file": key_file})
    if auth.service_accounts:
        # Read from the API with the gateway's own token, which Kubernetes lets every service account do
        # (ClusterRoleBinding system:service-account-issuer-discovery).
        issuers.append({"issuer": auth.service_accounts, "kubernetes": {}})
    policy = {"authorization": {"policy_file": f"{POLICY_PATH}/{_POLICY_FILE}"}}
    return {
        "listen": {"host": "0.0.0.0", "port": MCP_PORT, "ops_port": OPS_PORT},  # noqa: S104 - the pod's own network
        "auth": {"audience": auth.audience, "issuers": issuers},
        **(policy if gateway.policy_file else {}),
        **_found(args),
        "upstream": {
            "timeout_seconds": gateway.timeout_seconds,
            "stream_seconds": STREAM_SECONDS,
            "connections_per_server": gateway.connections_per_server,
        },
        "requests": {
            **gateway.requests.model_dump(mode="json"),
            "allowed_hosts": list(gateway.allowed_hosts) or None,
            "allowed_origins": list(gateway.allowed_origins),
        },
        "redis": build_client(args.redis, f"{REDIS_PATH}/{_PASSWORD_FILE}"),
        **({"search": gateway.search.model_dump(mode="json")} if gateway.search else {}),
        **_kept(args),
        "limits": gateway.limits.model_dump(mode="json"),
        "content": gateway.content.model_dump(mode="json", exclude_none=True),
        "subscriptions": gateway.subscriptions.model_dump(mode="json"),
        **({"pinning": pins.build_config(gateway.pinning, CONFIG_PATH)} if gateway.pinning else {}),
        **({"tracing": build_tracing(tracing)} if tracing else {}),
        "cache": build_cache(gateway.cache),
        "approval": gateway.approval.model_dump(mode="json"),
        "state": {"key_files": [f"{STATE_PATH}/{name}" for name in gateway.state_keys]},
        "log_level": gateway.log_level,
    }


def build_tracing(tracing: Tracing) -> dict[str, Any]:
    """Where traces go, and how many."""
    return {"endpoint": tracing.target, "sample_ratio": tracing.sample_ratio}


def _found(args: GatewayArgs) -> dict[str, Any]:
    """Which servers are found, and how their names are shown."""
    names = {} if args.only_server is None else {"names": "plain"}
    if args.servers is not None:
        return {"servers": [{"name": key, "urls": [url]} for key, url in args.servers.items()], **names}
    kubernetes = {
        "namespace": args.stack.namespace,
        # A mesh routes what is sent to Services; what is sent to pods, it only encrypts.
        **({"address": "services"} if args.in_mesh else {}),
        **({} if args.only_server is None else {"only": args.only_server}),
    }
    return {"discovery": {"kubernetes": kubernetes}, **names}


def _kept(args: GatewayArgs) -> dict[str, Any]:
    """What is kept, and where."""
    audit, tasks = args.settings.audit, args.settings.tasks
    return {
        **({"postgres": database.build_config(args.postgres, CONFIG_PATH)} if _uses_postgres(args) else {}),
        **({"audit": audit.model_dump(mode="json")} if audit.sink != "none" else {}),
        **({"tasks": tasks.model_dump(mode="json")} if tasks else {}),
    }


def _uses_postgres(args: GatewayArgs) -> bool:
    return args.settings.audit.sink == "postgres" or args.settings.tasks is not None


def build_cache(cache: ResponseCache) -> dict[str, Any]:
    """The response cache in the gateway's configuration, where sizes are bytes."""
    return {
        **cache.model_dump(mode="json", exclude={"memory", "max_entry"}),
        "memory_bytes": size_bytes(cache.memory),
        "max_entry_bytes": size_bytes(cache.max_entry),
    }


def read_policy(gateway: settings.Gateway) -> dict[str, str]:
    """The policy's ConfigMap; empty where there is no policy. The gateway checks what the file says.

    Raises:
        PlatformError: The file can't be read.
    """
    if gateway.policy_file is None:
        return {}
    try:
        return {_POLICY_FILE: (_PROJECT / gateway.policy_file).read_text(encoding="utf-8")}
    except (OSError, UnicodeDecodeError) as error:
        raise PlatformError(
            f"gateway.policy_file = {gateway.policy_file}: can't be read as text: {error}",
            hint="set it to a policy's path below the project, such as access/dev.yaml",
        ) from error


def build_files(args: GatewayArgs) -> dict[str, str]:
    """The ConfigMap's files: the configuration, and the public keys and certificates that it refers to."""
    keys = {f"{issuer.name}.pem": issuer.public_key for issuer in args.auth.issuers if issuer.public_key}
    authorities = {database.CA_FILE: args.postgres.ca} if args.postgres.ca and _uses_postgres(args) else {}
    return {
        _CONFIG_FILE: yaml.safe_dump(build_config(args), sort_keys=False),
        **keys,
        **authorities,
        **pins.read_keys(args.settings.pinning),
    }


def build_exposure(gateway: settings.Gateway) -> Exposure:
    """How clients outside the cluster get in."""
    match gateway.expose:
        case "node-port":
            return Exposure(kind="NodePort", node_port=gateway.node_port or settings.DEFAULT_NODE_PORT)
        case "load-balancer":
            return Exposure(
                kind="LoadBalancer", source_ranges=gateway.client_cidrs, annotations=gateway.annotations
            )
        case "none":
            return Exposure()


def build_workload(name: str, args: GatewayArgs, contents: dict[str, str]) -> WorkloadArgs:
    """The gateway as a workload."""
    own = {_CONFIG_FILE, database.CA_FILE, *pins.read_keys(args.settings.pinning)}
    paths = {key: key if key in own else f"issuers/{key}" for key in contents}
    policy_files = Files(name=GATEWAY_POLICY, paths={_POLICY_FILE: _POLICY_FILE})
    policy = [files("policy", POLICY_PATH, config=policy_files)] if args.settings.policy_file else []
    dev_key = (
        Files(name=ISSUER_KEYS, paths={_DEV_KEY: f"issuers/{_DEV_KEY}"}) if args.auth.dev_issuer else None
    )
    config = files("config", CONFIG_PATH, config=Files(name=name, paths=paths), secret=dev_key)
    config_file = f"{CONFIG_PATH}/{_CONFIG_FILE}"
    authority = database.authority_mounts(args.postgres) if _uses_postgres(args) else []
    migration = [database.build_migration(args.postgres, args.image, config_file, [config, *authority])]
    return WorkloadArgs(
        stack=args.stack,
        component="gateway",
        image=args.image,
        args=["services.gateway", "--config", config_file],
        init=migration if _uses_postgres(args) else [],
        scale=args.settings,
        resources=args.settings.resources,
        mounts=[
            config,
            *policy,
            *([pins.lock_mount()] if args.settings.pinning else []),
            *([database.role_mount()] if _uses_postgres(args) else []),
            *authority,
            files(
                "redis-auth",
                REDIS_PATH,
                secret=Files(name=args.redis.secret, paths={args.redis.password_key: _PASSWORD_FILE}),
            ),
            files("state-keys", STATE_PATH, secret=state_key_files(args.settings.state_keys)),
            *([api_access()] if args.servers is None else []),
        ],
        rules=[discovery_rule()] if args.servers is None else [],
        exposure=build_exposure(args.settings),
        config_hash=config_hash(contents),
    )


def discovery_rule() -> PolicyRuleArgs:
    """All that the gateway may do in the Kubernetes API: see where the servers' pods are."""
    return PolicyRuleArgs(
        api_groups=["discovery.k8s.io"], resources=["endpointslices"], verbs=["get", "list", "watch"]
    )


class Gateway(pulumi.ComponentResource):
    """The gateway, its configuration and, for development, its token issuer."""

    name: str

    def __init__(self, name: str, args: GatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mcp:service:Gateway", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.name = name
        if args.auth.dev_issuer:
            issuer = TokenIssuerArgs(stack=args.stack, audience=args.auth.audience)
            TokenIssuer(TOKEN_ISSUER, issuer, opts=child)
        keys = StateKeysArgs(stack=args.stack, names=args.settings.state_keys)
        StateKeys(STATE_KEYS, keys, opts=child)
        if _uses_postgres(args):
            database.place_role_secret(args.stack, name, child)
        contents = build_files(args)
        v1.ConfigMap(
            name,
            metadata=ObjectMetaArgs(
                name=name, namespace=args.stack.namespace, labels=labels(args.stack, name, "gateway")
            ),
            data=contents,
            opts=child,
        )
        if policy := read_policy(args.settings):
            v1.ConfigMap(
                GATEWAY_POLICY,
                metadata=ObjectMetaArgs(
                    name=GATEWAY_POLICY,
                    namespace=args.stack.namespace,
                    labels=labels(args.stack, name, "gateway"),
                ),
                data=policy,
                opts=child,
            )
        if args.settings.pinning:
            pins.place_lock(args.stack, name, args.settings.pinning, child)
        Workload(name, build_workload(name, args, contents), opts=child)
        self.register_outputs({"service": name})
