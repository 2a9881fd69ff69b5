"""Postgres: what must not be lost. Inside the cluster one server on a volume; outside, any endpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi

from infra.components.mounts import Files, Mount, files, own_claim, scratch
from infra.components.pods import Container
from infra.components.probes import store_probes
from infra.components.secret import SecretArgs, place_secret
from infra.components.store import DATA, Endpoint, StatefulService, StatefulServiceArgs, exporter
from infra.labels import Component
from infra.naming import Stack
from infra.settings.groups import ExternalPostgres, Store

PORT: Final = 5432
AUTH_SECRET: Final = "postgres-auth"  # noqa: S105 - an object's name
USER: Final = "mcp"
DATABASE: Final = "mcp"

_PORT_NAME: Final = "postgres"
_MOUNT_PATH: Final = "/var/lib/postgresql/data"
_AUTH_PATH: Final = "/run/secrets/postgres"
_COMPONENT: Final[Component] = "database"
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
    """

    database: str = DATABASE
    ca: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class PostgresArgs:
    """Postgres for one stack.

    Attributes:
        stack: The stack.
        settings: Inside the cluster, or where outside.
        image: Of the server inside the cluster.
        exporter_image: Of its metrics exporter.
    """

    stack: Stack
    settings: Store | ExternalPostgres
    image: pulumi.Input[str]
    exporter_image: pulumi.Input[str]


def build_containers(args: PostgresArgs, settings: Store) -> list[Container]:
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
        else:
            self._run(name, args, settings)
            self.endpoint = PostgresEndpoint(host=name, port=PORT, tls=False, secret=AUTH_SECRET)
        self.register_outputs({"host": self.endpoint.host, "port": self.endpoint.port})

    def _run(self, name: str, args: PostgresArgs, settings: Store) -> None:
        child = pulumi.ResourceOptions(parent=self)
        fixed = {"username": USER, "database": DATABASE}
        secret = SecretArgs(stack=args.stack, service=name, component=_COMPONENT, fixed=fixed)
        place_secret(AUTH_SECRET, secret, child)
        service = StatefulServiceArgs(
            stack=args.stack,
            component=_COMPONENT,
            containers=build_containers(args, settings),
            port_name=_PORT_NAME,
            port=PORT,
            volume=settings.volume,
        )
        StatefulService(name, service, opts=child)


def _password(name: str) -> Mount:
    return files(name, _AUTH_PATH, secret=Files(name=AUTH_SECRET, paths={"password": "password"}))
