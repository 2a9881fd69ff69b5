"""The gateway's place in Postgres: a role of its own, and the init container that makes it and its schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pulumi

from infra.components.mounts import Files, Mount, files
from infra.components.pods import Container
from infra.components.postgres import PostgresEndpoint
from infra.components.postgres_cluster import CA_KEY
from infra.components.secret import SecretArgs, place_secret
from infra.naming import GATEWAY_DATABASE, Stack
from infra.settings.workloads import Limits, Requests, Resources

ROLE: Final = "mcp_gateway"
"""Who the gateway is in Postgres: it may add audit records, but neither change nor remove them."""

CA_FILE: Final = "postgres-ca.pem"
"""The file of the gateway's ConfigMap with the authorities of an external Postgres."""

_PASSWORD_PATH: Final = "/run/secrets/gateway-database"  # noqa: S105 - a folder's name
_OWNER_PATH: Final = "/run/secrets/postgres-owner"
_AUTHORITY_PATH: Final = "/run/secrets/postgres-authority"
_PASSWORD: Final = "password"  # noqa: S105 - a file's name
_WAIT_SECONDS: Final = 240
"""For a Postgres that starts together with the gateway; less than a deployment has for its progress."""

_RESOURCES: Final = Resources(
    requests=Requests(cpu="50m", memory="128Mi", ephemeral_storage="16Mi"),
    limits=Limits(cpu="500m", memory="256Mi", ephemeral_storage="64Mi"),
)


def build_config(postgres: PostgresEndpoint, config_path: str) -> dict[str, Any]:
    """`postgres` of the gateway's configuration."""
    return {
        "host": postgres.host,
        "port": postgres.port,
        "database": postgres.database,
        "user": ROLE,
        "password_file": f"{_PASSWORD_PATH}/{_PASSWORD}",
        "tls": postgres.tls,
        "ca_file": _authority_file(postgres, config_path),
    }


def _authority_file(postgres: PostgresEndpoint, config_path: str) -> str | None:
    if postgres.ca_secret:
        return f"{_AUTHORITY_PATH}/{CA_KEY}"
    return f"{config_path}/{CA_FILE}" if postgres.ca else None


def authority_mounts(postgres: PostgresEndpoint) -> list[Mount]:
    """The authorities of the server's certificate, where somebody else keeps them in a Secret."""
    if not postgres.ca_secret:
        return []
    secret = Files(name=postgres.ca_secret, paths={CA_KEY: CA_KEY})
    return [files("database-authority", _AUTHORITY_PATH, secret=secret)]


def role_mount() -> Mount:
    """The password of the gateway's role."""
    secret = Files(name=GATEWAY_DATABASE, paths={_PASSWORD: _PASSWORD})
    return files("database-auth", _PASSWORD_PATH, secret=secret)


def build_migration(
    postgres: PostgresEndpoint, image: pulumi.Input[str], config_file: str, mounts: Sequence[Mount]
) -> Container:
    """Brings the schema up to date before the gateway starts; it alone has the password of the owner.

    Args:
        postgres: Where to.
        image: The gateway's.
        config_file: The gateway's configuration.
        mounts: What the configuration refers to.
    """
    paths = {"username": "username", postgres.password_key: _PASSWORD}
    owner = files("database-owner", _OWNER_PATH, secret=Files(name=postgres.secret, paths=paths))
    return Container(
        name="migrate",
        image=image,
        args=[
            "services.gateway.migrate",
            f"--config={config_file}",
            f"--owner={_OWNER_PATH}",
            f"--wait={_WAIT_SECONDS}",
        ],
        ports={},
        resources=_RESOURCES,
        mounts=[*mounts, role_mount(), owner],
        pause_before_stop=False,
    )


def place_role_secret(stack: Stack, gateway: str, opts: pulumi.ResourceOptions) -> None:
    """The role's password."""
    secret = SecretArgs(stack=stack, service=gateway, component="gateway")
    place_secret(GATEWAY_DATABASE, secret, opts)
