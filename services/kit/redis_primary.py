"""Connections to whichever Redis server is the primary now; Sentinels know which.

They are asked for each new connection, never for a command. A connection to a server that isn't the primary
any longer ends by itself: Sentinels have such a server close its clients' connections.
"""

from collections.abc import Sequence
from typing import Any, Final

from redis.asyncio import Connection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider
from redis.exceptions import ConnectionError as RedisConnectionError

Address = tuple[str, int]

_PRIMARY: Final = b"master"
"""What a primary says that it is."""


class Primary:
    """Finds the primary of a group of servers."""

    def __init__(
        self,
        name: str,
        sentinels: Sequence[Address],
        credentials: CredentialProvider | None,
        timeout_seconds: float,
    ) -> None:
        """Prepare.

        Args:
            name: what Sentinels call the group.
            sentinels: where they are; the one that answered last is asked first.
            credentials: what they are logged in to with.
            timeout_seconds: the longest wait for one of them before the next is asked.
        """
        self._name = name
        self._manager = Sentinel(
            sentinels,
            sentinel_kwargs={
                "credential_provider": credentials,
                "socket_timeout": timeout_seconds,
                "socket_connect_timeout": timeout_seconds,
                "retry": Retry(NoBackoff(), 0),  # the next one is asked instead
                "protocol": 2,
            },
        )

    async def address(self) -> Address:
        """Where it is.

        Raises:
            RedisConnectionError: no Sentinel answers, or they see none.
        """
        return await self._manager.discover_master(self._name)

    async def close(self) -> None:
        """Close the connections to Sentinels."""
        await self._manager.aclose()


class PrimaryConnection(Connection):
    """Connects to the primary, wherever that is at the time."""

    def __init__(self, *, primary: Primary, **kwargs: Any) -> None:  # noqa: ANN401 - redis-py's own
        super().__init__(**kwargs)
        self._primary = primary

    async def _connect(self) -> None:
        self.host, self.port = await self._primary.address()
        await super()._connect()

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        """Log in, and see whether it is one: a Sentinel that was cut off may know no better."""
        await super().on_connect_check_health(check_health=check_health)
        await self.send_command("ROLE", check_health=False)
        role = await self.read_response()
        if not isinstance(role, list) or role[0] != _PRIMARY:
            raise RedisConnectionError(f"{self.host}:{self.port} isn't the primary (any longer)")
