"""Redis, where replicas share what may be lost. It may be away at any time; nobody waits long to find out.

One task looks after it. While it is away (or too slow, or full), `problem` says so and nobody else tries.
"""

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Final, TypeVar

from prometheus_client import CollectorRegistry, Gauge
from redis.asyncio import BlockingConnectionPool, Connection, Redis, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider
from redis.exceptions import RedisError

from services.gateway.config import Redis as RedisSettings
from services.kit.logs import get_logger
from services.kit.redis_primary import Primary, PrimaryConnection

KEY_PREFIX: Final = "mcp-gateway:"
PROBE_SECONDS: Final = 1.0
"""Between two looks at Redis."""

FAILURES: Final = (RedisError, OSError, TimeoutError, RuntimeError)
"""Signs of a Redis that is away; by RuntimeError, uvloop says that what is written to was reset."""

_PROBE_KEY: Final = f"{KEY_PREFIX}probe"

T = TypeVar("T")


class StoreDownError(Exception):
    """Redis didn't do what it was asked within the time there is."""


class PasswordFile(CredentialProvider):
    """Reads the password for every new connection, so that a renewed one needs no restart."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def get_credentials(self) -> tuple[str]:
        """The password; the user is Redis's default one."""
        return (self._file.read_text(encoding="utf-8").strip(),)

    async def get_credentials_async(self) -> tuple[str]:
        """As above: a small file of this machine."""
        return self.get_credentials()


def _primary(settings: RedisSettings, credentials: CredentialProvider | None) -> Primary | None:
    if not settings.sentinels:
        return None
    addresses = [(sentinel.host, sentinel.port) for sentinel in settings.sentinels]
    return Primary(settings.primary, addresses, credentials, settings.sentinel_seconds)


def _servers(settings: RedisSettings, primary: Primary | None) -> dict[str, Any]:
    """What a pool's connections are to."""
    if primary is not None:
        return {"connection_class": PrimaryConnection, "primary": primary}
    connection = SSLConnection if settings.tls else Connection
    return {"connection_class": connection, "host": settings.host, "port": settings.port}


class SharedStore:
    """The connections to Redis, and whether it can be used now."""

    def __init__(self, settings: RedisSettings, registry: CollectorRegistry) -> None:
        self._settings = settings
        credentials = PasswordFile(settings.password_file) if settings.password_file else None
        self._primary = _primary(settings, credentials)
        pool = BlockingConnectionPool(
            **_servers(settings, self._primary),
            credential_provider=credentials,
            max_connections=settings.connections,
            timeout=settings.timeout_seconds,
            socket_timeout=settings.timeout_seconds,
            socket_connect_timeout=settings.timeout_seconds,
            # Once more at once: the server may have closed a connection that was idle.
            retry=Retry(NoBackoff(), 1),
            protocol=2,
        )
        self.client: Redis = Redis.from_pool(pool)
        self.problem: str | None = "not connected yet"
        """Why Redis isn't to be asked now; None when it is."""
        self._up = Gauge(
            "mcp_gateway_redis_up", "Whether Redis answers in time (1) or not (0).", registry=registry
        )

    async def ask(self, command: Awaitable[T]) -> T:
        """The command's answer; ask only while there is no `problem`.

        Raises:
            StoreDownError: there is none in time; `problem` is set from now on.
        """
        try:
            async with asyncio.timeout(self._settings.wait_seconds):
                return await command
        except FAILURES as error:
            self._lost(error)
            raise StoreDownError(self.problem) from None

    async def watch(self) -> None:
        """Look after Redis until cancelled."""
        while True:
            await self.probe()
            await asyncio.sleep(PROBE_SECONDS)

    def status(self) -> str | None:
        """What is wrong, for health."""
        return self.problem

    async def close(self) -> None:
        """Close all connections."""
        await self.client.aclose(close_connection_pool=True)
        if self._primary is not None:
            await self._primary.close()

    async def probe(self) -> None:
        """Find out whether Redis can be used now.

        It is written to, since a full Redis still answers a ping. Connecting may take longer than
        a request waits.
        """
        try:
            if self.problem:
                await self._write()
            async with asyncio.timeout(self._settings.wait_seconds):
                await self._write()
        except FAILURES as error:
            self._lost(error)
            if self._primary is not None:
                # It may be one that was replaced and doesn't know it; the next connection asks anew.
                await self.client.connection_pool.disconnect(inuse_connections=False)
            return
        if self.problem:
            get_logger().info("redis is there")
        self.problem = None
        self._up.set(1)

    async def _write(self) -> None:
        await self.client.set(_PROBE_KEY, b"1", px=int(PROBE_SECONDS * 1000))

    def _lost(self, error: Exception) -> None:
        text = str(error) or f"no answer within {self._settings.wait_seconds:g} s"
        if not self.problem:
            get_logger().warning("redis is away", reason=text)
        self.problem = text
        self._up.set(0)
