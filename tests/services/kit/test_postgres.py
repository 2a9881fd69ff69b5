"""Connections, migrations and roles, on a real Postgres that is there, away or hung."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from services.kit.postgres.database import Database, DatabaseDownError
from services.kit.postgres.migrating import MigrationError, Outcome, Schema, head, migrate, statements
from services.kit.postgres.roles import Role
from services.kit.postgres.settings import PostgresSettings

if TYPE_CHECKING:
    from tests.services.conftest import Store

STEP = '''
from alembic import op

revision = "{name}"
down_revision = {before}


def upgrade() -> None:
    op.execute("""{sql}""")
'''


@pytest.fixture
def schema(tmp_path: Path) -> Schema:
    folder = tmp_path / "steps"
    folder.mkdir()
    return add(
        Schema("things", folder), "0001_first", None, "CREATE TABLE things.a AS SELECT '1%'::text AS v"
    )


def add(schema: Schema, name: str, before: str | None, sql: str) -> Schema:
    (schema.steps / f"{name}.py").write_text(STEP.format(name=name, before=repr(before), sql=sql))
    return schema


def role(store: Store, schema: Schema, *, secret: str | None = "") -> Role:
    """`secret` is the password; None for a role that is somebody else's to make."""
    return Role(store.role, secret, [f"GRANT USAGE ON SCHEMA {schema.name} TO {store.role}"])


def applied(store: Store, schema: Schema, role: Role) -> Outcome:
    return store.run(lambda connection: migrate(connection, schema, role))


def test_steps_are_applied_once_and_in_order(store: Store, schema: Schema) -> None:
    assert applied(store, schema, role(store, schema)) == Outcome(None, "0001_first")
    add(schema, "0002_second", "0001_first", "ALTER TABLE things.a ADD COLUMN w int")
    assert applied(store, schema, role(store, schema)) == Outcome("0001_first", "0002_second")
    assert applied(store, schema, role(store, schema)) == Outcome("0002_second", "0002_second")
    assert store.rows("SELECT * FROM things.a") == [{"v": "1%", "w": None}]


def test_a_step_that_fails_leaves_nothing_behind(store: Store, schema: Schema) -> None:
    add(schema, "0002_second", "0001_first", "CREATE TABLE things.b (); SELECT 1 / 0")
    with pytest.raises(asyncpg.DivisionByZeroError):
        applied(store, schema, role(store, schema))
    assert store.rows("SELECT nspname FROM pg_namespace WHERE nspname = 'things'") == []
    assert store.rows("SELECT rolname FROM pg_roles WHERE rolname = $1", store.role) == []


def test_a_database_of_a_later_release_is_left_alone(store: Store, schema: Schema) -> None:
    add(schema, "0002_second", "0001_first", "SELECT 1")
    applied(store, schema, role(store, schema))
    (schema.steps / "0002_second.py").unlink()
    with pytest.raises(MigrationError, match="0002_second, which this release doesn't know"):
        applied(store, schema, role(store, schema))


def test_programs_that_start_together_take_turns(store: Store) -> None:
    config = store.folder / "migrate.yaml"
    store.migrate()
    store.run(lambda connection: connection.execute("DROP SCHEMA gateway CASCADE"))
    arguments = ["-m", "services.gateway.migrate", "--config", config, "--owner", store.folder / "owner"]
    started = [
        subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(4)
    ]
    said = [process.communicate(timeout=120)[0].decode() for process in started]
    assert [process.returncode for process in started] == [0] * 4, said
    assert sum("nothing ->" in text for text in said) == 1, said


def test_what_would_be_done_can_be_printed(store: Store, schema: Schema) -> None:
    text = statements(schema, None)
    assert "CREATE TABLE things.a AS SELECT '1%'" in text
    assert head(schema) == "0001_first"
    store.run(lambda connection: connection.execute(text))
    assert applied(store, schema, role(store, schema)) == Outcome("0001_first", "0001_first")


def login(store: Store, password: str) -> str:
    async def ask() -> str:
        connection = await asyncpg.connect(
            host="127.0.0.1", port=store.server.port, user=store.role, password=password, database=store.name
        )
        found = await connection.fetchval("SELECT current_user")
        await connection.close()
        return found

    return asyncio.run(ask())


def test_a_role_logs_in_with_its_password_which_no_log_has(store: Store, schema: Schema) -> None:
    applied(store, schema, role(store, schema, secret="first canary"))
    assert login(store, "first canary") == store.role
    applied(store, schema, role(store, schema, secret="second canary"))
    assert login(store, "second canary") == store.role
    with pytest.raises(asyncpg.InvalidPasswordError):
        login(store, "first canary")
    log = store.server.log.read_text()
    assert f"ALTER ROLE {store.role}" in log
    assert "canary" not in log


def test_a_role_can_be_somebody_elses_to_make(store: Store, schema: Schema) -> None:
    with pytest.raises(asyncpg.UndefinedObjectError):
        applied(store, schema, role(store, schema, secret=None))
    store.run(lambda connection: connection.execute(f"CREATE ROLE {store.role} LOGIN PASSWORD 'other'"))
    applied(store, schema, role(store, schema, secret=None))
    assert login(store, "other") == store.role


def with_database(store: Store, use: Callable[[Database], Awaitable[Any]], **settings: Any) -> Any:
    async def main() -> Any:
        known = PostgresSettings.model_validate({**store.settings, "timeout_seconds": 20, **settings})
        database = Database(known, "test", CollectorRegistry())
        await database.open()
        try:
            return await use(database)
        finally:
            await database.close()

    return asyncio.run(main())


async def one(connection: asyncpg.Connection) -> int | None:
    return await connection.fetchval("SELECT 1")


def test_a_postgres_that_goes_away_and_comes_back(own_store: Store) -> None:
    server = own_store.migrate().server

    async def use(database: Database) -> None:
        assert await database.run(one) == 1
        server.stop()
        with pytest.raises(DatabaseDownError):
            await database.run(one)
        assert await database.status() is not None
        server.start()
        assert await database.run(one) == 1
        assert await database.status() is None

    with_database(own_store, use)


def test_a_postgres_that_hangs_holds_nobody_up(own_store: Store) -> None:
    server = own_store.migrate().server

    async def use(database: Database) -> None:
        await asyncio.gather(*(database.run(one) for _ in range(3)))
        server.hang()
        async with asyncio.timeout(45):  # each has three seconds: they mustn't wait for each other
            found = await asyncio.gather(*(database.run(one) for _ in range(20)), return_exceptions=True)
        assert {type(error) for error in found} == {DatabaseDownError}
        server.resume()
        assert await asyncio.gather(*(database.run(one) for _ in range(20))) == [1] * 20

    with_database(own_store, use, connections=2, timeout_seconds=3)


def test_work_that_is_cancelled_gives_its_connection_back(store: Store) -> None:
    store.migrate()

    async def use(database: Database) -> None:
        for _ in range(5):
            slow = asyncio.create_task(database.run(lambda it: it.execute("SELECT pg_sleep(60)")))
            await asyncio.sleep(0.05)
            slow.cancel()
            with pytest.raises(asyncio.CancelledError):
                await slow
        assert await database.run(one) == 1

    with_database(store, use, connections=1)


def test_data_that_is_refused_says_nothing_about_postgres(store: Store) -> None:
    store.migrate()

    async def use(database: Database) -> None:
        with pytest.raises(asyncpg.DivisionByZeroError):
            await database.run(lambda it: it.execute("SELECT 1 / 0"))
        with pytest.raises(DatabaseDownError, match="no_such_table"):
            await database.run(lambda it: it.execute("SELECT * FROM no_such_table"))
        assert await database.status() is None

    with_database(store, use)


def test_the_password_is_read_for_each_connection(store: Store) -> None:
    store.migrate()
    file = store.folder / "role"
    right = file.read_text()

    async def use(database: Database) -> None:
        file.write_text("wrong")
        with pytest.raises(DatabaseDownError, match="authentication failed"):
            await database.run(one)
        file.write_text(right)
        assert await database.run(one) == 1

    with_database(store, use)


def test_tls_is_not_given_up_silently(store: Store) -> None:
    store.migrate()

    async def use(database: Database) -> None:
        with pytest.raises(DatabaseDownError, match="SSL"):
            await database.run(one)

    with_database(store, use, tls=True)
