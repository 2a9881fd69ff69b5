"""Redis: what replicas share and may lose. In the cluster it is Valkey, outside any compatible endpoint."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_kubernetes.core import v1
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.components import redis_members
from infra.components.mounts import Files, Mount, files, own_claim, scratch
from infra.components.pods import Container
from infra.components.probes import store_probes
from infra.components.redis_members import CONFIG_PATH, RedisMembersArgs
from infra.components.secret import PASSWORD, Derived, SecretArgs, place_secret
from infra.components.store import DATA, Endpoint, StatefulService, StatefulServiceArgs, exporter
from infra.hashing import config_hash
from infra.labels import Component, labels
from infra.naming import Stack
from infra.quantities import mebibytes, size_bytes
from infra.settings.groups import ExternalRedis, RedisStore

PORT: Final = 6379
AUTH_SECRET: Final = "redis-auth"  # noqa: S105 - an object's name

_PORT_NAME: Final = "redis"
_AUTH_PATH: Final = "/run/secrets/redis"
_EXPORTER_PATH: Final = "/run/secrets/redis-exporter"
_ADDRESS: Final = f"redis://127.0.0.1:{PORT}"
_COMPONENT: Final[Component] = "cache"
_DATA_SHARE: Final = 0.6
"""Of the memory limit; the rest is for buffers and for the copy that rewriting the append-only file makes."""

_MOVING_SECONDS: Final = 2

_PING: Final = (
    "sh",
    "-c",
    # In the environment of this one process: neither among the arguments nor in the container's own.
    f'REDISCLI_AUTH="$(cat {_AUTH_PATH}/password)" valkey-cli -e -h 127.0.0.1 -p {PORT} ping',
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RedisArgs:
    """Redis for one stack.

    Attributes:
        stack: The stack.
        settings: Inside the cluster, or where outside.
        image: Of the server inside the cluster.
        exporter_image: Of its metrics exporter.
    """

    stack: Stack
    settings: RedisStore | ExternalRedis
    image: pulumi.Input[str]
    exporter_image: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class RedisEndpoint(Endpoint):
    """Where Redis is reached.

    Attributes:
        sentinels: Host names of the Sentinels that know the primary; none for a single server.
    """

    sentinels: tuple[str, ...] = ()


def build_client(endpoint: RedisEndpoint, password_file: str) -> dict[str, Any]:
    """`redis` of the gateway's configuration."""
    if not endpoint.sentinels:
        return {
            "host": endpoint.host,
            "port": endpoint.port,
            "tls": endpoint.tls,
            "password_file": password_file,
        }
    return {
        "sentinels": [{"host": host, "port": redis_members.SENTINEL_PORT} for host in endpoint.sentinels],
        "primary": redis_members.GROUP,
        "password_file": password_file,
        # A primary whose node is gone doesn't refuse connections; another is there in seconds.
        "timeout_seconds": _MOVING_SECONDS,
    }


def build_config(settings: RedisStore) -> str:
    """`valkey.conf`: writes are on disk after a second, and full memory refuses them rather than forgets."""
    memory = int(size_bytes(settings.resources.limits.memory) * _DATA_SHARE)
    directives = {
        "port": str(PORT),
        "dir": "/data",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory": mebibytes(memory).removesuffix("Mi") + "mb",
        "maxmemory-policy": "noeviction",
        "aclfile": f"{_AUTH_PATH}/users.acl",
        **(redis_members.directives() if settings.replication else {}),
    }
    return "".join(f"{key} {value}\n" for key, value in directives.items())


def access_list(password: str) -> str:
    """`users.acl`: the server knows the password's hash only."""
    digest = hashlib.sha256(password.encode()).hexdigest()
    return f"user default on #{digest} ~* &* +@all\n"


def exporter_passwords(password: str) -> str:
    """`exporter.json`: the password in the form that the exporter reads."""
    return json.dumps({_ADDRESS: password})


def build_secret(stack: Stack, name: str) -> SecretArgs:
    """The password, and the files that it is in."""
    acl = Derived(
        lambda made: access_list(made[PASSWORD]),
        "user default on #{{ .password | sha256sum }} ~* &* +@all\n",
    )
    of_exporter = Derived(
        lambda made: exporter_passwords(made[PASSWORD]),
        f'{{{{ dict "{_ADDRESS}" .password | toRawJson }}}}',
    )
    return SecretArgs(
        stack=stack,
        service=name,
        component=_COMPONENT,
        derived={"users.acl": acl, "exporter.json": of_exporter},
    )


def build_files(settings: RedisStore) -> dict[str, str]:
    """The ConfigMap's files."""
    return {
        "valkey.conf": build_config(settings),
        **(redis_members.scripts() if settings.replication else {}),
    }


def build_containers(args: RedisArgs, settings: RedisStore) -> list[Container]:
    """The server, the Sentinel beside it where there is one, and the exporter."""
    env = {"REDIS_ADDR": _ADDRESS, "REDIS_PASSWORD_FILE": f"{_EXPORTER_PATH}/exporter.json"}
    mount = _secret_files("exporter-auth", _EXPORTER_PATH, "exporter.json")
    watched = exporter(args.exporter_image, "/redis_exporter", env, [mount])
    if settings.replication is None:
        return [_build_server(args, settings), watched]
    member = RedisMembersArgs(
        image=args.image,
        port=PORT,
        port_name=_PORT_NAME,
        resources=settings.resources,
        ping=_PING,
        secret=AUTH_SECRET,
        replication=settings.replication,
    )
    return [*redis_members.build_member(member), watched]


def _build_server(args: RedisArgs, settings: RedisStore) -> Container:
    configuration = files(
        "config", CONFIG_PATH, config=Files(name="redis", paths={"valkey.conf": "valkey.conf"})
    )
    return Container(
        name="redis",
        image=args.image,
        args=["valkey-server", f"{CONFIG_PATH}/valkey.conf"],
        ports={_PORT_NAME: PORT},
        resources=settings.resources,
        probes=store_probes(_PING, _PORT_NAME),
        mounts=[
            own_claim(DATA, "/data"),
            scratch("tmp", "/tmp", "16Mi"),  # noqa: S108 - the pod's own
            configuration,
            _secret_files("auth", _AUTH_PATH, "password", "users.acl"),
        ],
        pause_before_stop=False,
    )


class Redis(pulumi.ComponentResource):
    """The shared store of what may be lost."""

    endpoint: RedisEndpoint

    def __init__(self, name: str, args: RedisArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mcp:data:Redis", name, None, opts)
        settings = args.settings
        if isinstance(settings, ExternalRedis):
            self.endpoint = RedisEndpoint(
                host=settings.host,
                port=settings.port,
                tls=settings.tls,
                secret=settings.password.name,
                password_key=settings.password.key,
                cidrs=settings.cidrs,
            )
        else:
            self._run(name, args, settings)
            sentinels = redis_members.hosts(settings.replication) if settings.replication else ()
            self.endpoint = RedisEndpoint(
                host=name, port=PORT, tls=False, secret=AUTH_SECRET, sentinels=tuple(sentinels)
            )
        self.register_outputs({"host": self.endpoint.host, "port": self.endpoint.port})

    def _run(self, name: str, args: RedisArgs, settings: RedisStore) -> None:
        child = pulumi.ResourceOptions(parent=self)

        def metadata(object_name: str) -> ObjectMetaArgs:
            own = labels(args.stack, name, _COMPONENT)
            return ObjectMetaArgs(name=object_name, namespace=args.stack.namespace, labels=own)

        place_secret(AUTH_SECRET, build_secret(args.stack, name), child)
        replication = settings.replication
        if replication:
            secret = SecretArgs(stack=args.stack, service=name, component=_COMPONENT)
            place_secret(redis_members.REPLICATION_SECRET, secret, child)
        config = build_files(settings)
        v1.ConfigMap(name, metadata=metadata(name), data=config, opts=child)
        service = StatefulServiceArgs(
            stack=args.stack,
            component=_COMPONENT,
            containers=build_containers(args, settings),
            port_name=_PORT_NAME,
            port=PORT,
            volume=settings.volume,
            config_hash=config_hash(config),
            members=replication.servers if replication else None,
            more_ports=redis_members.PORTS if replication else {},
        )
        StatefulService(name, service, opts=child)


def _secret_files(name: str, path: str, *keys: str) -> Mount:
    return files(name, path, secret=Files(name=AUTH_SECRET, paths={key: key for key in keys}))
