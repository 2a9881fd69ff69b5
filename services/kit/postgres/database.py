"""Connections to Postgres, which may be away at any time: then `DatabaseDownError`, and never a hang."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar, cast

import asyncpg
from prometheus_client import CollectorRegistry, Gauge

from services.kit.logs import get_logger
from services.kit.postgres.settings import PostgresSettings, connect_arguments

T = TypeVar("T")

CLOSE_SECONDS: Final = 2.0

REFUSED: Final = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)
"""What blames the data that was sent, and not the database."""


class DatabaseDownError(Exception):
    """Postgres didn't do what it was asked within the time there is."""


class Database:
    """A pool of connections; `open` it before use. Nothing is connected to before it is needed."""

    def __init__(self, settings: PostgresSettings, application: str, registry: CollectorRegistry) -> None:
        """Prepare; `application` is what `pg_stat_activity` shows."""
        self._settings = settings
        self._application = application
        self._problem: str | None = None
        self._up = Gauge(
            "mcp_postgres_up",
            "Whether Postgres did what it was last asked in time (1) or not (0).",
            registry=registry,
        )

    async def open(self) -> None:
        """Make the pool."""
        self._pool = await asyncpg.create_pool(
            **connect_arguments(self._settings, self._application),
            min_size=0,
            max_size=self._settings.connections,
            # A round trip after each use would undo what nothing here does: no session state is changed.
            reset=_no_reset,
        )

    async def close(self) -> None:
        """Close all connections."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    async def run(self, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """What `work` gives, which gets a connection for itself.

        Raises:
            DatabaseDownError: there is no answer of use in time; whether the work was done is unknown.
            asyncpg.PostgresError: one of `REFUSED`.
        """
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                found = await self._work(work)
        except REFUSED:
            raise
        except (OSError, asyncpg.InterfaceError, asyncpg.PostgresError) as error:
            self._lost(error)
            raise DatabaseDownError(self._problem) from None
        self._answered()
        return found

    async def status(self) -> str | None:
        """What is wrong, for health."""
        try:
            await self.run(lambda connection: connection.execute("SELECT 1"))
        except DatabaseDownError as error:
            return str(error)
        return None

    async def _work(self, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        connection = await self._pool.acquire()
        try:
            found = await work(cast("asyncpg.Connection", connection))
        except asyncpg.PostgresError:
            await self._pool.release(connection)
            raise
        except BaseException:
            # It may be in the middle of something, and asking it to stop would need an answer, too.
            connection.terminate()
            await self._pool.release(connection)
            raise
        await self._pool.release(connection)
        return found

    def _answered(self) -> None:
        if self._problem is not None:
            get_logger().info("postgres is there")
        self._problem = None
        self._up.set(1)

    def _lost(self, error: Exception) -> None:
        text = str(error) or f"no answer within {self._settings.timeout_seconds:g} s"
        if self._problem is None:
            get_logger().warning("postgres is away", reason=text)
        self._problem = text
        self._up.set(0)


async def _no_reset(_connection: asyncpg.Connection) -> None:
    pass
