"""Purges, of one server's answers (of a kind) or of all, and how the other replicas hear of them.

Each purge draws a new token, which is part of every key from then on; so nothing has to be found and deleted
in Redis. A hash in Redis holds the tokens, and every replica looks at it each second. Should Redis lose it,
the replicas write it again, lest old keys become valid.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Final, cast

from services.gateway.traffic.shared_store import KEY_PREFIX, SharedStore, StoreDownError
from services.kit.logs import get_logger

HASH: Final = f"{KEY_PREFIX}cache:purges"
_ALL: Final = "*"
"""Stands for all servers, or all kinds of cache; none can have this name."""
LOOK_SECONDS: Final = 1.0


class Generations:
    """A token for everything that was ever purged: `SERVER/KIND`, either of which may be `*`."""

    def __init__(self, store: SharedStore | None, purged: Callable[[str | None, str | None], None]) -> None:
        """Prepare.

        Args:
            store: where tokens are shared; None for a replica of its own.
            purged: is told that the answers of a server and a kind (None: all) are purged here.
        """
        self._store = store
        self._purged = purged
        self._tokens: dict[str, str] = {}
        self._unsent: set[str] = set()
        self._exchanging = asyncio.Lock()
        self.current = False
        """Whether the shared tokens are known, so that shared answers may be used."""

    def of(self, server: str, kind: str) -> list[str]:
        """What tells the answers of a server and a kind from those before the last purge."""
        names = (f"{_ALL}/{_ALL}", f"{server}/{_ALL}", f"{server}/{kind}")
        return [self._tokens.get(name, "") for name in names]

    async def renew(self, server: str | None, kind: str | None) -> None:
        """Purge here and now, elsewhere as soon as Redis and they let us; None stands for all.

        Raises:
            ValueError: a kind is named, but no server.
        """
        if server is None and kind is not None:
            raise ValueError("a kind is purged of one server")
        name = f"{server or _ALL}/{kind or _ALL}"
        self._unsent.add(name)
        self._adopt(name, secrets.token_hex(8))
        await self.refresh()

    async def run(self) -> None:
        """Look for purges of other replicas until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(LOOK_SECONDS)

    async def refresh(self) -> None:
        """Send what is unsent, and adopt what others sent."""
        store = self._store
        if store is None:
            return
        if store.problem:
            self.current = False
            return
        try:
            async with self._exchanging:  # an answer from before a newer purge was sent would undo that
                await self._exchange(store)
        except StoreDownError:
            self.current = False
        else:
            self.current = True

    async def _exchange(self, store: SharedStore) -> None:
        pipeline = store.client.pipeline(transaction=True)
        for name, token in self._tokens.items():
            if name in self._unsent:
                pipeline.hset(HASH, name, token)
            else:
                pipeline.hsetnx(HASH, name, token)
        sent = dict(self._tokens)
        pipeline.hgetall(HASH)
        answers = cast("list[dict[bytes, bytes]]", await store.ask(pipeline.execute()))
        self._unsent = {name for name in self._unsent if self._tokens[name] != sent.get(name)}
        for name, token in answers[-1].items():
            if name.decode() not in self._unsent:
                self._adopt(name.decode(), token.decode())

    def _adopt(self, name: str, token: str) -> None:
        if self._tokens.get(name) == token:
            return
        self._tokens[name] = token
        server, _, kind = name.partition("/")
        self._purged(None if server == _ALL else server, None if kind == _ALL else kind)
        get_logger().info("cache purged", server=server, cache=kind)
