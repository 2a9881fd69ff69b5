"""Logins that last as long as one job: made by a store's owner, kept in the pod's memory alone."""

import asyncio
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import asyncpg
from redis import Redis
from redis.exceptions import RedisError

from services.backup.errors import BackupError
from services.backup.parts.redis import HOST, client, copied
from services.backup.settings import PASSWORD, USERNAME, PostgresPlace, RedisPlace
from services.kit.postgres.roles import Role, ensure_role
from services.kit.postgres.settings import PostgresSettings, connect_arguments

ROLE: Final = "mcp_backup"
"""Who backups are in Postgres: it may read everything, and change nothing."""
USER: Final = "backup"
"""Who backups are in Redis: it may replicate, and nothing else."""

_SECRET_BYTES: Final = 32
_READABLE: Final = """
    SELECT format('%I', nspname) FROM pg_namespace
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY 1
"""


def write_login(folder: Path, name: str) -> str:
    """A login with a new password, which is also given back."""
    password = secrets.token_urlsafe(_SECRET_BYTES)
    (folder / USERNAME).write_text(name, encoding="utf-8")
    file = folder / PASSWORD
    file.touch(mode=0o600)
    file.write_text(password, encoding="utf-8")
    return password


def prepare_postgres(place: PostgresPlace, owner: Path, login: Path, seconds: int) -> None:
    """Make the role that dumps; it is of no use after so many seconds.

    Raises:
        BackupError: The owner can't make it.
    """
    password = write_login(login, ROLE)
    until = datetime.now(UTC) + timedelta(seconds=seconds)
    asyncio.run(
        _make_role(place.login(owner), Role(ROLE, password, [f"ALTER ROLE {ROLE} VALID UNTIL '{until}'"]))
    )


async def _make_role(owner: PostgresSettings, role: Role) -> None:
    try:
        connection = await asyncpg.connect(**connect_arguments(owner, "mcp-backup prepare"))
        try:
            async with connection.transaction():
                await ensure_role(connection, role)
                await _let_read(connection)
        finally:
            connection.terminate()
    except (OSError, asyncpg.InterfaceError, asyncpg.PostgresError) as error:
        text = " ".join(str(error).split()) or "no answer in time"
        raise BackupError(f"postgres {owner.host}: {text}") from None


async def _let_read(connection: asyncpg.Connection) -> None:
    """Everything; an owner that may not give that away gives what it has."""
    try:
        async with connection.transaction():
            await connection.execute(f"GRANT pg_read_all_data TO {ROLE}")
    except asyncpg.InsufficientPrivilegeError:
        for row in await connection.fetch(_READABLE):
            await connection.execute(f"GRANT USAGE ON SCHEMA {row[0]} TO {ROLE}")
            await connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {row[0]} TO {ROLE}")
            await connection.execute(f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA {row[0]} TO {ROLE}")


def prepare_redis(place: RedisPlace, owner: Path, login: Path) -> None:
    """Make the user that copies; its password is another at each run.

    Raises:
        BackupError: The owner can't make it.
    """
    password = write_login(login, USER)
    member = copied(place, owner)
    (login / HOST).write_text(member.host, encoding="utf-8")
    connection: Redis = client(member, owner)
    try:
        connection.acl_setuser(
            USER,
            enabled=True,
            passwords=[f"+{password}"],
            commands=["+sync", "+psync", "+replconf"],
            reset=True,
        )
    except RedisError as error:
        raise BackupError(f"redis {place.host}: {' '.join(str(error).split())}") from None
    finally:
        connection.close()
