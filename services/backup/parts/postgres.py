"""A database: dumped as of one moment, and restored in one transaction or not at all."""

import asyncio
import signal
import subprocess
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import IO, Final

import asyncpg

from services.backup.bucket import Bucket
from services.backup.errors import BackupError, RefusedError
from services.backup.manifest import Manifest
from services.backup.processes import Running, output, running
from services.kit.postgres.settings import PostgresSettings, connect_arguments, read_secret

_PROGRAM: Final = "mcp-backup"
_LOCK_SECONDS: Final = 60
_UNHURRIED: Final = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0"
_TABLES: Final = """
    SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1
"""
_SCHEMAS: Final = """
    SELECT format('%I', nspname) FROM pg_namespace
    WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public') ORDER BY 1
"""


def back_up(bucket: Bucket, settings: PostgresSettings) -> Manifest:
    """Dump it.

    Raises:
        BackupError: It can't be dumped, or not be stored.
    """
    return asyncio.run(_back_up(bucket, settings))


async def _back_up(bucket: Bucket, settings: PostgresSettings) -> Manifest:
    async with (
        _connected(settings) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        # What is counted is what is dumped: both see the same moment.
        snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
        counts = await _count(connection)
        server = await connection.fetchval("SHOW server_version")
        command = ["pg_dump", "--format=custom", "--no-password", f"--snapshot={snapshot}"]
        command.append(f"--lock-wait-timeout={_LOCK_SECONDS}s")
        dump = output(command, _environment(settings))
        return bucket.keep("postgres", dump, {"postgres": str(server)}, counts)


def restore(data: Iterator[bytes], settings: PostgresSettings) -> None:
    """Replace the database's schemas by those of a backup, all at once.

    Nothing is changed before all of `data` has been read, which ends only if it is what was backed up.

    Raises:
        BackupError: It can't be restored; nothing has changed.
    """
    schemas = asyncio.run(_ask(settings, _SCHEMAS))
    quiet = ["--no-psqlrc", "--quiet", "--no-password", "--output=/dev/null"]
    # Its complaints must not quote rows.
    strict = [f"--set={it}" for it in ("ON_ERROR_STOP=1", "VERBOSITY=terse", "SHOW_CONTEXT=never")]
    env = _environment(settings)
    with running(["psql", *quiet, *strict], env, stdin=subprocess.PIPE) as psql:
        script = _input(psql)
        try:
            script.write(b"BEGIN;\nSET LOCAL client_min_messages = warning;\n")
            script.write(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s';\n".encode())
            script.writelines(f"DROP SCHEMA {schema} CASCADE;\n".encode() for schema in schemas)
            script.flush()
            _unpack(data, script)
            script.write(b"COMMIT;\n")
            script.close()
        except BrokenPipeError:
            psql.finish()
            raise BackupError("psql: ended early") from None
        psql.finish()


def _unpack(data: Iterator[bytes], script: IO[bytes]) -> None:
    """Turn a dump into statements."""
    command = ["pg_restore", "--no-owner", "--no-privileges", "--clean", "--if-exists", "--exit-on-error"]
    with running([*command, "--file=-"], {}, stdin=subprocess.PIPE, stdout=script) as program:
        dump = _input(program)
        whole = False
        with suppress(BrokenPipeError):
            for chunk in data:
                dump.write(chunk)
            dump.close()
            whole = True
        if program.process.wait() == -signal.SIGPIPE:
            raise BrokenPipeError  # what reads its statements ended first, and says why
        program.finish()
        if not whole:
            raise BackupError("pg_restore: ended before the dump did")


def _input(program: Running) -> IO[bytes]:
    stream = program.process.stdin
    assert stream is not None  # noqa: S101 - asked for by who started it
    return stream


def compare(found: Manifest, settings: PostgresSettings) -> None:
    """Whether a database holds as many rows as were backed up, in the same tables.

    Raises:
        RefusedError: It doesn't.
    """
    there = asyncio.run(_counts(settings))
    if there != found.counts:
        differing = sorted(
            name for name in {*there, *found.counts} if there.get(name) != found.counts.get(name)
        )
        shown = ", ".join(f"{name} {found.counts.get(name)} -> {there.get(name)}" for name in differing[:10])
        raise RefusedError(f"{found.object}: rows of tables differ from what was backed up: {shown}")


async def _counts(settings: PostgresSettings) -> dict[str, int]:
    async with _connected(settings) as connection:
        return await _count(connection)


async def _count(connection: asyncpg.Connection) -> dict[str, int]:
    tables = [str(row[0]) for row in await connection.fetch(_TABLES)]
    query = "SELECT count(*) FROM {}"
    return {name: int(await connection.fetchval(query.format(name)) or 0) for name in tables}


async def _ask(settings: PostgresSettings, query: str) -> list[str]:
    async with _connected(settings) as connection:
        return [str(row[0]) for row in await connection.fetch(query)]


@asynccontextmanager
async def _connected(settings: PostgresSettings) -> AsyncGenerator[asyncpg.Connection]:
    try:
        connection = await asyncpg.connect(**connect_arguments(settings, _PROGRAM))
        try:
            await connection.execute(_UNHURRIED)
            yield connection
        finally:
            connection.terminate()
    except (OSError, asyncpg.InterfaceError, asyncpg.PostgresError) as error:
        text = " ".join(str(error).split()) or "no answer in time"
        raise BackupError(f"postgres {settings.host}: {text}") from None


def _environment(settings: PostgresSettings) -> Mapping[str, str]:
    """How libpq's programs log in: https://www.postgresql.org/docs/17/libpq-envars.html."""
    authorities = str(settings.ca_file) if settings.ca_file else "system"
    tls = (
        {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": authorities}
        if settings.tls
        else {"PGSSLMODE": "disable"}
    )
    file = settings.password_file
    return {
        "PGHOST": settings.host,
        "PGPORT": str(settings.port),
        "PGDATABASE": settings.database,
        "PGUSER": settings.user,
        "PGPASSWORD": read_secret(file) if file else "",
        "PGAPPNAME": _PROGRAM,
        "PGCONNECT_TIMEOUT": str(int(settings.timeout_seconds)),
        **tls,
    }
