"""Counts requests in Redis, for all replicas together.

A round trip costs ten times what counting does, so requests share it: those that come while one is under way
go together with the next.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, cast

from services.gateway.traffic.gcra import MICROSECONDS, SCRIPT, Quota, Refused
from services.gateway.traffic.shared_store import KEY_PREFIX, SharedStore, StoreDownError

MAX_BATCH: Final = 256
"""Requests of one round trip; Redis serves nobody else meanwhile."""

Waiter = tuple[Sequence[Quota], "asyncio.Future[Refused | None]"]


class SharedGcra:
    """One script does it all by Redis's own clock, so that replicas needn't agree on the time."""

    def __init__(self, store: SharedStore) -> None:
        self._store = store
        self._script = store.client.register_script(SCRIPT)
        self._waiting: list[Waiter] = []
        self._sender: asyncio.Task[None] | None = None

    async def check(self, quotas: Sequence[Quota]) -> Refused | None:
        """Charge all of `quotas`, or none and say which is exceeded most.

        Raises:
            StoreDownError: Redis doesn't answer.
        """
        if self._store.problem:
            raise StoreDownError(self._store.problem)
        answer: asyncio.Future[Refused | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((quotas, answer))
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send())
        return await answer

    async def ahead(self, key: str) -> int:
        """By how many microseconds the limit's idle time is ahead of now.

        Raises:
            StoreDownError: Redis doesn't answer.
        """
        pipeline = self._store.client.pipeline(transaction=False)
        pipeline.time()
        pipeline.get(KEY_PREFIX + key)
        (seconds, microseconds), idle_at = await self._store.ask(pipeline.execute())
        return max(0, int(idle_at or 0) - seconds * MICROSECONDS - microseconds)

    async def forget(self, key: str) -> None:
        """Count from nothing again.

        Raises:
            StoreDownError: Redis doesn't answer.
        """
        await self._store.ask(self._store.client.delete(KEY_PREFIX + key))

    async def _send(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            try:
                verdicts = await self._evaluate([quotas for quotas, _ in batch])
                for (_, answer), verdict in zip(batch, verdicts, strict=True):
                    if not answer.done():  # the caller may have left
                        answer.set_result(verdict)
            except StoreDownError as error:
                _give_up(batch, str(error))
            finally:
                _give_up(batch, "not counted")  # whatever went wrong, nobody may wait for ever

    async def _evaluate(self, requests: Sequence[Sequence[Quota]]) -> list[Refused | None]:
        keys: list[str] = []
        arguments: list[int] = []
        for quotas in requests:
            arguments.append(len(quotas))
            for quota in quotas:
                keys.append(KEY_PREFIX + quota.key)
                arguments += (quota.interval, quota.tolerance)
        answers = cast("list[int]", await self._store.ask(self._script(keys=keys, args=arguments)))
        verdicts: list[Refused | None] = []
        for index, quotas in enumerate(requests):
            worst, excess = answers[2 * index : 2 * index + 2]
            verdicts.append(Refused(quotas[worst - 1], excess / MICROSECONDS) if worst else None)
        return verdicts


def _give_up(batch: Sequence[Waiter], why: str) -> None:
    """Tell those who have no answer yet that there will be none."""
    for _, answer in batch:
        if not answer.done():
            answer.set_exception(StoreDownError(why))
