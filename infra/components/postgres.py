"""Postgres: what must not be lost. Inside the cluster one server or several; outside, any endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.components import postgres_cluster as cluster
from infra.components.barman import ObjectStore, ScheduledBackup
from infra.components.cnpg import RELOAD, Cluster
from infra.components.mounts import Files, Mount, files, own_claim, scratch
from infra.components.pods import Container
from infra.components.postgres_cluster import ClusterArgs, build_archive, build_backup, build_cluster
from infra.components.probes import store_probes
from infra.components.secret import SecretArgs, place_secret
from infra.components.store import DATA, Endpoint, StatefulService, StatefulServiceArgs, exporter
from infra.labels import KEEP, Component, labels
from infra.naming import Stack
from infra.settings.groups import ExternalPostgres, PostgresStore
from infra.settings.replication import PostgresReplication

PORT: Final = 5432
AUTH_SECRET: Final = "postgres-auth"  # noqa: S105 - an object's name
USER: Final = "mcp"
DATABASE: Final = "mcp"

_PORT_NAME: Final = "postgres"
_MOUNT_PATH: Final = "/var/lib/postgresql/data"
_AUTH_PATH: Final = "/run/secrets/postgres"
_COMPONENT: Final[Component] = "database"
_AWAIT: Final = "pulumi.com/waitFor"
_READY: Final = (
    "pg_isready",
    "--host=127.0.0.1",
    f"--port={PORT}",
    f"--username={USER}",
    f"--dbname={DATABASE}",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PostgresEndpoint(Endpoint):
    """Where Postgres is reached; the Secret is its owner's.

    Attributes:
        database: The database's name.
        ca: PEM of the authorities of its certificate; "" for the system's.
        ca_secret: The Secret that has them instead, as `ca.crt`; "" for none.
    """

    database: str = DATABASE
    ca: str = ""
    ca_secret: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchivePlace:
    """Where a replicated server's archive is.

    Attributes:
        bucket: The bucket's name.
        identity: Who may write there: it comes first.
        role_arn: The role that pods take by an annotation of their service account; "" where they need none.
    """

    bucket: str
    identity: pulumi.Resource
    role_arn: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class PostgresArgs:
    """Postgres for one stack.

    Attributes:
        stack: The stack.
        settings: Inside the cluster, or where outside.
        image: Of the server inside the cluster.
        exporter_image: Of its metrics exporter.
        archive: Where a replicated server's archive is; None without one.
    """

    stack: Stack
    settings: PostgresStore | ExternalPostgres
    image: pulumi.Input[str]
    exporter_image: pulumi.Input[str]
    archive: ArchivePlace | None = None


def build_containers(args: PostgresArgs, settings: PostgresStore) -> list[Container]:
    """The server and its exporter."""
    password = _password("auth")
    server = Container(
        name="postgres",
        image=args.image,
        args=["postgres"],
        ports={_PORT_NAME: PORT},
        env={
            "POSTGRES_USER": USER,
            "POSTGRES_DB": DATABASE,
            "POSTGRES_PASSWORD_FILE": f"{_AUTH_PATH}/password",
            # Below the mount, whose own folder may hold the file system's lost+found.
            "PGDATA": f"{_MOUNT_PATH}/pgdata",
        },
        resources=settings.resources,
        probes=store_probes(_READY, _PORT_NAME),
        mounts=[
            own_claim(DATA, _MOUNT_PATH),
            scratch("run", "/var/run/postgresql", "1Mi"),
            scratch("tmp", "/tmp", "64Mi"),  # noqa: S108 - the pod's own
            password,
        ],
        pause_before_stop=False,
    )
    env = {
        "DATA_SOURCE_URI": f"127.0.0.1:{PORT}/{DATABASE}?sslmode=disable",
        "DATA_SOURCE_USER": USER,
        "DATA_SOURCE_PASS_FILE": f"{_AUTH_PATH}/password",
    }
    return [server, exporter(args.exporter_image, "postgres_exporter", env, [password])]


class Postgres(pulumi.ComponentResource):
    """The store of what must not be lost."""

    endpoint: PostgresEndpoint

    def __init__(self, name: str, args: PostgresArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mcp:data:Postgres", name, None, opts)
        settings = args.settings
        if isinstance(settings, ExternalPostgres):
            self.endpoint = PostgresEndpoint(
                host=settings.host,
                port=settings.port,
                tls=settings.tls,
                secret=settings.credentials,
                cidrs=settings.cidrs,
                database=settings.database,
                ca=settings.ca or "",
            )
        elif settings.replication is not None:
            self._run_cluster(name, args, settings, settings.replication)
            self.endpoint = PostgresEndpoint(
                host=cluster.HOST,
                port=PORT,
                tls=True,
                secret=AUTH_SECRET,
                ca_secret=cluster.CA_SECRET,
                pods=cluster.PODS,
            )
        else:
            self._run(name, args, settings)
            self.endpoint = PostgresEndpoint(host=name, port=PORT, tls=False, secret=AUTH_SECRET)
        self.register_outputs({"host": self.endpoint.host, "port": self.endpoint.port})

    def _run(self, name: str, args: PostgresArgs, settings: PostgresStore) -> None:
        child = pulumi.ResourceOptions(parent=self)
        self._place_secret(name, args.stack)
        service = StatefulServiceArgs(
            stack=args.stack,
            component=_COMPONENT,
            containers=build_containers(args, settings),
            port_name=_PORT_NAME,
            port=PORT,
            volume=settings.volume,
        )
        StatefulService(name, service, opts=child)

    def _run_cluster(
        self, name: str, args: PostgresArgs, settings: PostgresStore, replication: PostgresReplication
    ) -> None:
        production = args.stack.production
        self._place_secret(name, args.stack, "kubernetes.io/basic-auth", RELOAD)

        def metadata(object_name: str, annotations: Mapping[str, str] | None = None) -> ObjectMetaArgs:
            own = labels(args.stack, name, _COMPONENT)
            return ObjectMetaArgs(
                name=object_name, namespace=args.stack.namespace, labels=own, annotations=annotations
            )

        wanted = ClusterArgs(
            stack=args.stack,
            settings=settings,
            replication=replication,
            component=_COMPONENT,
            user=USER,
            database=DATABASE,
            secret=AUTH_SECRET,
            role_arn=args.archive.role_arn if args.archive else "",
        )
        Cluster(
            name,
            metadata(name, {**KEEP, _AWAIT: "condition=Ready"}),
            build_cluster(wanted),
            pulumi.ResourceOptions(
                parent=self,
                protect=production,
                retain_on_delete=production,
                # Pods get a role when they are made, or not at all.
                depends_on=[args.archive.identity] if args.archive else None,
            ),
        )
        if replication.archive is not None and args.archive is not None:
            child = pulumi.ResourceOptions(parent=self)
            archive = build_archive(replication.archive, args.archive.bucket)
            # Instances that outlive the stack could not send their log, and it would fill their volumes.
            ObjectStore(cluster.ARCHIVE, metadata(cluster.ARCHIVE, KEEP), archive, child)
            ScheduledBackup(name, metadata(name), build_backup(replication.archive), child)

    def _place_secret(
        self, name: str, stack: Stack, kind: str = "Opaque", more_labels: Mapping[str, str] | None = None
    ) -> None:
        """The owner's name and password."""
        secret = SecretArgs(
            stack=stack,
            service=name,
            component=_COMPONENT,
            fixed={"username": USER, "database": DATABASE},
            kind=kind,
            more_labels=more_labels or {},
        )
        place_secret(AUTH_SECRET, secret, pulumi.ResourceOptions(parent=self))


def _password(name: str) -> Mount:
    return files(name, _AUTH_PATH, secret=Files(name=AUTH_SECRET, paths={"password": "password"}))
