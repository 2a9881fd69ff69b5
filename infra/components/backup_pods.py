"""What runs in the pods of backups and restores: `python -m services.backup …`. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import pulumi

from infra.components.backup_configuration import Configuration
from infra.components.mounts import Files, Mount, api_access, files, memory, pods_own_claim, scratch
from infra.components.pods import Container
from infra.components.postgres import DATABASE, PORT, PostgresEndpoint
from infra.components.probes import Probes, store_probes
from infra.components.redis import RedisEndpoint
from infra.components.store import Endpoint
from infra.labels import labels
from infra.naming import BACKUP, Stack
from infra.settings.backup import Backup
from infra.settings.workloads import Limits, Requests, Resources

CA_FILE: Final = "postgres-ca.pem"

_CONFIG_PATH: Final = "/etc/mcp-backup"
_BUCKET_PATH: Final = "/run/secrets/bucket"
_OWNER_PATH: Final = "/run/secrets/owner"
_LOGIN_PATH: Final = "/run/login"
"""A user name and a password that were made up for this pod, in memory."""
_WORK_PATH: Final = "/work"
_USERNAME, _PASSWORD = "username", "password"
_DRILL_USER: Final = "drill"

_PREPARATION: Final = Resources(
    requests=Requests(cpu="50m", memory="128Mi", ephemeral_storage="16Mi"),
    limits=Limits(cpu="500m", memory="128Mi", ephemeral_storage="64Mi"),
)
_DRILL_SERVER: Final = Resources(
    requests=Requests(cpu="250m", memory="512Mi"), limits=Limits(cpu="1", memory="512Mi")
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """The bucket that backups are in.

    Attributes:
        bucket: Its name.
        region: Its region.
        endpoint: Of an S3 other than AWS's; "" for that.
        port: The endpoint's.
        encryption: What objects ask for: `aws:kms`, `AES256` or `none`.
        key: ARN of the KMS key; "" without.
        credentials: Name of the Secret with an access key; "" where the pod has a role instead.
        annotations: Of the service accounts, by name, where these carry their role.
        agent: Whether pods get their role from the node's EKS Pod Identity agent.
    """

    bucket: str
    region: str
    endpoint: str = ""
    port: int = 443
    encryption: str
    key: str = ""
    credentials: str = ""
    annotations: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    agent: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class BackupArgs:
    """Backups of one stack.

    Attributes:
        stack: The stack.
        settings: What is backed up, and when.
        place: Where to.
        image: Of the programs.
        postgres_image: Of the server that drills restore to.
        postgres: What is dumped.
        redis: What is copied; None where that is somebody else's.
        configuration: What of the namespace's objects.
    """

    stack: Stack
    settings: Backup
    place: Place
    image: pulumi.Input[str]
    postgres_image: pulumi.Input[str]
    postgres: PostgresEndpoint
    redis: RedisEndpoint | None
    configuration: Configuration


def dump_postgres(args: BackupArgs, seconds: int) -> list[Container]:
    """A dump, by a role that may only read and that ends with the job's time."""
    login = memory("login", _LOGIN_PATH, "1Mi")
    place = _postgres(args)
    prepare = _program(
        args,
        "prepare",
        ["prepare", "postgres", f"--owner={_OWNER_PATH}", f"--login={_LOGIN_PATH}", f"--seconds={seconds}"],
        env=place,
        mounts=[login, _owner(args.postgres), *_authorities(args)],
        bucket=False,
    )
    mounts = [login, *_authorities(args)]
    dump = _program(args, BACKUP, ["postgres", f"--login={_LOGIN_PATH}"], env=place, mounts=mounts)
    return [prepare, dump]


def copy_redis(args: BackupArgs, redis: RedisEndpoint) -> list[Container]:
    """A snapshot, by a user that may only replicate."""
    login = memory("login", _LOGIN_PATH, "1Mi")
    place = _redis(redis)
    prepare = _program(
        args,
        "prepare",
        ["prepare", "redis", f"--owner={_OWNER_PATH}", f"--login={_LOGIN_PATH}"],
        env=place,
        mounts=[login, _owner(redis)],
        bucket=False,
    )
    return [prepare, _program(args, BACKUP, ["redis", f"--login={_LOGIN_PATH}"], env=place, mounts=[login])]


def read_configuration(args: BackupArgs) -> list[Container]:
    """The namespace's objects, as far as its account may read them."""
    env = {"BACKUP_RESOURCES": json.dumps(args.configuration)}
    return [_program(args, BACKUP, ["configuration"], env=env, mounts=[api_access()])]


def restore_postgres(args: BackupArgs) -> list[Container]:
    """As the database's owner."""
    mounts = [_owner(args.postgres), *_authorities(args)]
    return [
        _program(
            args,
            "restore",
            ["restore", "postgres", f"--login={_OWNER_PATH}"],
            env=_postgres(args),
            mounts=mounts,
        )
    ]


def restore_redis(args: BackupArgs, redis: RedisEndpoint) -> list[Container]:
    """By way of a server of the pod's own, which loads the snapshot."""
    arguments = ["restore", "redis", f"--login={_OWNER_PATH}", f"--work={_WORK_PATH}"]
    mounts = [_owner(redis), _work(args)]
    return [_program(args, "restore", arguments, env=_redis(redis), mounts=mounts)]


def show_configuration(args: BackupArgs) -> list[Container]:
    """Only shown: what may read backups may change nothing in the cluster."""
    return [_program(args, "restore", ["restore", "configuration"])]


def drill(args: BackupArgs, parts: Sequence[str]) -> list[Container]:
    """The newest backups come back beside the stack, in servers that go with the pod."""
    login, work = memory("login", _LOGIN_PATH, "1Mi"), _work(args)
    arguments = ["drill", *parts, f"--login={_LOGIN_PATH}", f"--work={_WORK_PATH}"]
    env = {"BACKUP_POSTGRES": json.dumps({"host": "127.0.0.1", "port": PORT, "database": DATABASE})}
    program = _program(args, "drill", arguments, env=env, mounts=[login, work])
    if "postgres" not in parts:
        return [program]
    prepare = _program(
        args,
        "prepare",
        ["prepare", "login", f"--login={_LOGIN_PATH}", f"--name={_DRILL_USER}"],
        mounts=[login],
        bucket=False,
    )
    return [prepare, _server(args, [login, work]), program]


def _server(args: BackupArgs, mounts: Sequence[Mount]) -> Container:
    ready = ("pg_isready", "--host=127.0.0.1", f"--port={PORT}", f"--dbname={DATABASE}")
    return Container(
        name="postgres",
        image=args.postgres_image,
        # What is lost with the pod needn't survive a crash.
        args=[
            "postgres",
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "fsync=off",
            "-c",
            "full_page_writes=off",
        ],
        ports={},
        env={
            "POSTGRES_USER": _DRILL_USER,
            "POSTGRES_DB": DATABASE,
            "POSTGRES_PASSWORD_FILE": f"{_LOGIN_PATH}/{_PASSWORD}",
            "PGDATA": f"{_WORK_PATH}/postgres",
        },
        resources=_DRILL_SERVER,
        probes=Probes(startup=store_probes(ready, "").startup),
        mounts=[*mounts, scratch("run", "/var/run/postgresql", "1Mi"), _tmp()],
        pause_before_stop=False,
        sidecar=True,
    )


def _program(
    args: BackupArgs,
    name: str,
    arguments: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    mounts: Sequence[Mount] = (),
    bucket: bool = True,
) -> Container:
    """One run of the program; only what needs the bucket is told of it."""
    credentials = [_credentials(args.place)] if bucket and args.place.credentials else []
    return Container(
        name=name,
        image=args.image,
        args=["services.backup", *arguments],
        ports={},
        env={**(_bucket(args) if bucket else {}), **(env or {})},
        resources=args.settings.resources if bucket else _PREPARATION,
        mounts=[_tmp(), *credentials, *mounts],
        pause_before_stop=False,
    )


def _bucket(args: BackupArgs) -> dict[str, str]:
    place = args.place
    known = {
        "BACKUP_STACK": args.stack.name,
        "BACKUP_NAMESPACE": args.stack.namespace,
        "BACKUP_BUCKET": f"s3://{place.bucket}",
        "BACKUP_REGION": place.region,
        "BACKUP_ENDPOINT": place.endpoint,
        "BACKUP_ENCRYPTION": place.encryption,
        "BACKUP_KEY": place.key,
        "BACKUP_CREDENTIALS": _BUCKET_PATH if place.credentials else "",
    }
    return {name: value for name, value in known.items() if value}


def _postgres(args: BackupArgs) -> dict[str, str]:
    place = args.postgres
    known = {"host": place.host, "port": place.port, "database": place.database, "tls": place.tls}
    authorities = {"ca_file": f"{_CONFIG_PATH}/{CA_FILE}"} if place.ca or place.ca_secret else {}
    return {"BACKUP_POSTGRES": json.dumps({**known, **authorities})}


def _redis(redis: RedisEndpoint) -> dict[str, str]:
    hosts = redis.sentinels or (redis.host,)  # beside each server there is a Sentinel
    return {"BACKUP_REDIS": json.dumps({"hosts": hosts, "port": redis.port, "tls": redis.tls})}


def _owner(store: Endpoint) -> Mount:
    """What the store's owner logs in with."""
    user = {_USERNAME: _USERNAME} if isinstance(store, PostgresEndpoint) else {}
    paths = {**user, store.password_key: _PASSWORD}
    return files("owner", _OWNER_PATH, secret=Files(name=store.secret, paths=paths))


def _authorities(args: BackupArgs) -> list[Mount]:
    if args.postgres.ca_secret:
        secret = Files(name=args.postgres.ca_secret, paths={"ca.crt": CA_FILE})
        return [files("config", _CONFIG_PATH, secret=secret)]
    if not args.postgres.ca:
        return []
    return [files("config", _CONFIG_PATH, config=Files(name=BACKUP, paths={CA_FILE: CA_FILE}))]


def _credentials(place: Place) -> Mount:
    keys = ("access_key_id", "secret_access_key")
    secret = Files(name=place.credentials, paths={key: key for key in keys})
    return files("bucket", _BUCKET_PATH, secret=secret)


def _work(args: BackupArgs) -> Mount:
    return pods_own_claim("work", _WORK_PATH, args.settings.scratch, labels(args.stack, BACKUP, "backup"))


def _tmp() -> Mount:
    return scratch("tmp", "/tmp", "64Mi")  # noqa: S108 - the pod's own
