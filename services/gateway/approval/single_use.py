"""Remembers which approvals were used, so that none is used twice: here, and in Redis for all replicas."""

import time
from typing import Final, Literal

from services.gateway.traffic.shared_store import KEY_PREFIX, SharedStore, StoreDownError

MAX_REMEMBERED: Final = 100_000
"""Of this replica; people don't approve that many within the time that an approval is good for."""


class UseUnknownError(Exception):
    """There is no telling whether an approval was used before."""


class SingleUse:
    """Spends tokens."""

    def __init__(self, store: SharedStore | None, without_redis: Literal["local", "closed"]) -> None:
        """Without a `store`, this replica is taken to be the only one."""
        self._store = store
        self._closed = without_redis == "closed"
        self._used: dict[str, float] = {}
        """Token → when it may be forgotten, oldest first."""

    async def spend(self, token: str, seconds: float) -> bool:
        """Whether `token`, which is good for at most so many seconds, is used for the first time.

        Raises:
            UseUnknownError: that can't be told, or not be remembered.
        """
        if not self._spend_here(token, seconds):
            return False
        if self._store is None:
            return True
        try:
            return await self._spend_everywhere(self._store, token, seconds)
        except StoreDownError:
            if self._closed:
                del self._used[token]  # it may be tried again
                raise UseUnknownError from None
            return True

    def _spend_here(self, token: str, seconds: float) -> bool:
        now = time.monotonic()
        while self._used and next(iter(self._used.values())) < now:
            del self._used[next(iter(self._used))]
        if token in self._used:
            return False
        if len(self._used) >= MAX_REMEMBERED:
            raise UseUnknownError
        self._used[token] = now + seconds
        return True

    async def _spend_everywhere(self, store: SharedStore, token: str, seconds: float) -> bool:
        if store.problem:
            raise StoreDownError(store.problem)
        key = f"{KEY_PREFIX}approval:{token}"
        return bool(await store.ask(store.client.set(key, b"1", nx=True, px=int(seconds * 1000) + 1)))
