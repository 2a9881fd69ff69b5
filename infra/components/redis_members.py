"""Redis that survives the end of a node: a primary, replicas, and a Sentinel beside each of them.

The programs are shell scripts in a ConfigMap (`infra/sentinel`), so any image with Valkey will do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pulumi

from infra.components.mounts import Files, Mount, files, own_claim, scratch
from infra.components.pods import Container
from infra.components.probes import Probes, port_probes, store_probes
from infra.components.store import DATA
from infra.naming import REDIS, member
from infra.settings.replication import RedisReplication
from infra.settings.workloads import Limits, Requests, Resources

SENTINEL_PORT: Final = 26379
SENTINEL_PORT_NAME: Final = "sentinel"
PORTS: Final = {SENTINEL_PORT_NAME: SENTINEL_PORT}

GROUP: Final = "mcp"
"""What Sentinels call the group; `infra/sentinel/group.sh` knows it, too."""

REPLICATION_SECRET: Final = "redis-replication"  # noqa: S105 - an object's name

CONFIG_PATH: Final = "/etc/valkey"
_DATA_PATH: Final = "/data"
_RUN_PATH: Final = "/run/valkey"
_AUTH_PATH: Final = "/run/secrets/redis"
_REPLICATION_PATH: Final = "/run/secrets/redis-replication"
_PASSWORD: Final = "password"  # noqa: S105 - a file's name
_SCRIPTS: Final = Path(__file__).resolve().parents[1] / "sentinel"
_FAILOVER_SECONDS: Final = 15
"""How long an election and what follows may take until another is tried."""
_LAG_SECONDS: Final = 10

_SENTINEL_RESOURCES: Final = Resources(
    requests=Requests(cpu="10m", memory="64Mi", ephemeral_storage="16Mi"),
    limits=Limits(cpu="200m", memory="64Mi", ephemeral_storage="64Mi"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RedisMembersArgs:
    """The members' containers.

    Attributes:
        image: Of servers and Sentinels.
        port: Of the servers.
        port_name: Its name.
        resources: Of each server.
        ping: Command that succeeds when a server answers.
        secret: Name of the Secret with the password of clients.
        replication: How many there are, and when another primary is elected.
    """

    image: pulumi.Input[str]
    port: int
    port_name: str
    resources: Resources
    ping: Sequence[str]
    secret: str
    replication: RedisReplication


def directives() -> dict[str, str]:
    """What `valkey.conf` says beside what it says of a single server."""
    return {
        "aclfile": f"{_RUN_PATH}/users.acl",
        # A primary that was cut off from all others takes no writes, which would be lost.
        "min-replicas-to-write": "1",
        "min-replicas-max-lag": str(_LAG_SECONDS),
        # A new primary has nobody to confirm its writes until replicas have its data.
        "repl-diskless-sync-delay": "1",
    }


def scripts() -> dict[str, str]:
    """The programs by their names."""
    return {file.name: file.read_text(encoding="utf-8") for file in sorted(_SCRIPTS.iterdir())}


def hosts(replication: RedisReplication) -> list[str]:
    """Host names of all members."""
    return [member(REDIS, number) for number in range(replication.servers)]


def environment(
    servers: Sequence[str], sentinels: Sequence[str], replication: RedisReplication
) -> dict[str, str]:
    """What the scripts read.

    Args:
        servers: HOST:PORT of each server.
        sentinels: HOST:PORT of the Sentinel beside each.
        replication: When another primary is elected.
    """
    return {
        "REDIS_SERVERS": " ".join(servers),
        "REDIS_SENTINELS": " ".join(sentinels),
        "REDIS_QUORUM": str(replication.quorum),
        "REDIS_DOWN_MILLISECONDS": str(replication.down_seconds * 1000),
        "REDIS_FAILOVER_MILLISECONDS": str(_FAILOVER_SECONDS * 1000),
        "REDIS_PASSWORD_FILE": f"{_AUTH_PATH}/{_PASSWORD}",
        "REDIS_REPLICATION_FILE": f"{_REPLICATION_PATH}/{_PASSWORD}",
    }


def build_member(args: RedisMembersArgs) -> list[Container]:
    """A server, and the Sentinel beside it."""
    names = hosts(args.replication)
    env = environment(
        [f"{host}:{args.port}" for host in names],
        [f"{host}:{SENTINEL_PORT}" for host in names],
        args.replication,
    )
    mounts = _mounts(args.secret)
    server = Container(
        name="redis",
        image=args.image,
        args=_script("start-server"),
        ports={args.port_name: args.port},
        env=env,
        resources=args.resources,
        probes=_server_probes(args),
        mounts=[*mounts, scratch("run", _RUN_PATH, "16Mi")],
        pause_before_stop=False,
    )
    sentinel = Container(
        name="sentinel",
        image=args.image,
        args=_script("start-sentinel"),
        ports={SENTINEL_PORT_NAME: SENTINEL_PORT},
        env=env,
        resources=_SENTINEL_RESOURCES,
        probes=port_probes(SENTINEL_PORT_NAME),
        mounts=mounts,
        pause_before_stop=False,
    )
    return [server, sentinel]


def _server_probes(args: RedisMembersArgs) -> Probes:
    """Started is who answers; ready only who has the data, so an update waits for it before the next."""
    started = store_probes(args.ping, args.port_name)
    ready = store_probes(_script("ready"), args.port_name)
    return Probes(startup=started.startup, readiness=ready.readiness, liveness=started.liveness)


def _mounts(secret: str) -> list[Mount]:
    paths = {name: name for name in ("valkey.conf", *scripts())}
    return [
        own_claim(DATA, _DATA_PATH),
        scratch("tmp", "/tmp", "16Mi"),  # noqa: S108 - the pod's own
        files("config", CONFIG_PATH, config=Files(name=REDIS, paths=paths)),
        files("auth", _AUTH_PATH, secret=_password(secret)),
        files("replication-auth", _REPLICATION_PATH, secret=_password(REPLICATION_SECRET)),
    ]


def _password(secret: str) -> Files:
    return Files(name=secret, paths={_PASSWORD: _PASSWORD})


def _script(name: str) -> list[str]:
    return ["sh", f"{CONFIG_PATH}/{name}"]
