"""Makes the gateway's schema and its role: `python -m services.gateway.migrate --config FILE --owner FOLDER`.

It logs in as the database's owner, which the gateway itself never does: the gateway's role may add audit
records, but neither change nor remove them. Safe to run at any time and by several at once.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Never

import asyncpg

from services.gateway.config_file import ConfigError, load_config
from services.kit.postgres.migrating import MigrationError, Outcome, Schema, migrate, statements
from services.kit.postgres.roles import Role
from services.kit.postgres.settings import PostgresSettings, connect_arguments, read_secret

SCHEMA: Final = Schema("gateway", Path(__file__).parent / "migrations")
WAIT_SECONDS: Final = 60.0
PAUSE_SECONDS: Final = 0.5
LONGEST_SECONDS: Final = 600.0
"""A step may have to go through a large table, and others wait for it meanwhile."""
FAILED: Final = 1
USAGE_ERROR: Final = 2

_PROGRAM: Final = "mcp-gateway migrate"


def main(arguments: Sequence[str] | None = None) -> None:
    """Ends the process with 1 when the database can't be used, with 2 when what it is told can't."""
    options = _parser().parse_args(arguments)
    try:
        settings = _settings(options.config)
        if options.sql:
            print(statements(SCHEMA, None).strip(), *(f"{it};" for it in grants(settings.user)), sep="\n")
            return
        owner = owner_of(settings, options.owner)
        outcome = asyncio.run(bring_up_to_date(owner, role_of(settings), options.wait))
    except ConfigError as error:
        _end(USAGE_ERROR, error)
    except (MigrationError, OSError, asyncpg.InterfaceError, asyncpg.PostgresError) as error:
        _end(FAILED, error)
    print(f"schema {SCHEMA.name}: {outcome.before or 'nothing'} -> {outcome.after}")


def _settings(file: Path) -> PostgresSettings:
    found = load_config(file).postgres
    if found is None:
        raise ConfigError(f"{file}: postgres is missing")
    return found


def owner_of(settings: PostgresSettings, folder: Path) -> PostgresSettings:
    """How the owner logs in, whose `username` and `password` are files in `folder`.

    Raises:
        ConfigError: the gateway would log in as the owner, too.
        OSError: a file can't be read.
    """
    user = read_secret(folder / "username")
    if user == settings.user:
        raise ConfigError(f"postgres.user = {user!r}: owns the database; the gateway needs a role of its own")
    return settings.model_copy(update={"user": user, "password_file": folder / "password"})


def role_of(settings: PostgresSettings) -> Role:
    """The gateway's role."""
    password = None if settings.password_file is None else read_secret(settings.password_file)
    return Role(settings.user, password, grants(settings.user))


def grants(role: str) -> list[str]:
    """What the gateway's role may do, and nothing besides."""
    return [
        f"REVOKE ALL ON ALL TABLES IN SCHEMA {SCHEMA.name} FROM {role}",
        f"GRANT USAGE ON SCHEMA {SCHEMA.name} TO {role}",
        f"GRANT INSERT ON {SCHEMA.name}.audit TO {role}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {SCHEMA.name}.tasks TO {role}",
    ]


async def bring_up_to_date(owner: PostgresSettings, role: Role, wait: float) -> Outcome:
    """Do it, after waiting so many seconds at most for the database to be there.

    Raises:
        OSError, asyncpg.InterfaceError, asyncpg.PostgresError: it can't be used.
        MigrationError: it is of a later release.
    """
    async with asyncio.timeout(LONGEST_SECONDS):
        connection = await _connect(owner, time.monotonic() + wait)
        try:
            return await migrate(connection, SCHEMA, role)
        finally:
            connection.terminate()


async def _connect(owner: PostgresSettings, deadline: float) -> asyncpg.Connection:
    while True:
        try:
            return await asyncpg.connect(**connect_arguments(owner, _PROGRAM))
        except (OSError, asyncpg.CannotConnectNowError):
            if time.monotonic() >= deadline:
                raise
        await asyncio.sleep(PAUSE_SECONDS)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM, description="Make the gateway's schema and role in Postgres."
    )
    parser.add_argument("--config", type=Path, required=True, help="the gateway's configuration file")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--owner", type=Path, help="folder with the owner's name and password: username, password"
    )
    what.add_argument(
        "--sql", action="store_true", help="only print the statements, for somebody who runs them"
    )
    parser.add_argument(
        "--wait", type=float, default=WAIT_SECONDS, help="seconds to wait for the database (%(default)g)"
    )
    return parser


def _end(status: int, error: Exception) -> Never:
    text = " ".join(str(error).split()) or "no answer in time"
    print(f"{_PROGRAM}: {text}", file=sys.stderr)
    raise SystemExit(status) from None


if __name__ == "__main__":
    main()
