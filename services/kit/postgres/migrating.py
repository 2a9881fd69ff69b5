"""Brings a schema up to date: all steps or none, and one program at a time, however many start at once.

The steps are alembic's: a folder of modules, each with an `upgrade` of plain SQL. Nothing goes back: a
release must be able to run on the schema of the next one, as it does while pods are replaced.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from services.kit.postgres.roles import Role, ensure_role

_ENVIRONMENT: Final = Path(__file__).parent / "alembic"
_UNHURRIED: Final = "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"


class MigrationError(Exception):
    """The schema can't be brought up to date; the message is one line."""


@dataclass(frozen=True)
class Schema:
    """A schema, and the steps that make it.

    Attributes:
        name: Its name in SQL.
        steps: Folder of alembic's revisions.
    """

    name: str
    steps: Path


@dataclass(frozen=True)
class Outcome:
    """What was done; `before` is None for a schema that was empty."""

    before: str | None
    after: str


async def migrate(connection: asyncpg.Connection, schema: Schema, role: Role) -> Outcome:
    """Run the steps that are missing, and let `role` in, in one transaction.

    Raises:
        MigrationError: the database is of a later release.
        asyncpg.PostgresError: a statement failed; nothing has changed.
    """
    latest = head(schema)
    async with connection.transaction():
        await connection.execute(_UNHURRIED)
        await connection.execute(_LOCK, f"migrate {schema.name}")
        current = await _current(connection, schema)
        if current is not None and current not in _known(schema):
            raise MigrationError(
                f"schema {schema.name} is at {current}, which this release doesn't know: "
                "the database is of a later one"
            )
        if current != latest:
            await connection.execute(statements(schema, current))
        await ensure_role(connection, role)
    return Outcome(current, latest)


def statements(schema: Schema, current: str | None) -> str:
    """The SQL that brings a schema from `current` (None: nothing is there) up to date."""
    output = io.StringIO()
    config = _config(schema)
    config.output_buffer = output
    command.upgrade(config, f"{current or 'base'}:head", sql=True)
    made = "" if current else f"CREATE SCHEMA IF NOT EXISTS {schema.name};\n\n"
    return made + output.getvalue()


def head(schema: Schema) -> str:
    """The name of the last step."""
    found = ScriptDirectory.from_config(_config(schema)).get_current_head()
    assert found is not None  # noqa: S101 - the folder of a program of ours isn't empty
    return found


def _known(schema: Schema) -> set[str]:
    return {step.revision for step in ScriptDirectory.from_config(_config(schema)).walk_revisions()}


def _config(schema: Schema) -> Config:
    config = Config(attributes={"schema": schema.name})
    config.set_main_option("script_location", str(_ENVIRONMENT))
    config.set_main_option("version_locations", str(schema.steps))
    config.set_main_option("path_separator", "newline")
    return config


async def _current(connection: asyncpg.Connection, schema: Schema) -> str | None:
    table = f"{schema.name}.schema_version"
    if await connection.fetchval("SELECT to_regclass($1)", table) is None:
        return None
    return await connection.fetchval(f"SELECT version_num FROM {table}")  # noqa: S608 - a name of ours
