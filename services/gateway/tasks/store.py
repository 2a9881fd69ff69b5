"""Tasks in Postgres. Time is Postgres's; who may write to a task that runs is decided by its fence."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import asyncpg
import msgspec

from services.gateway.audit.sinks import PROCESS
from services.gateway.config_tasks import Tasks as TasksSettings
from services.gateway.messages import encode
from services.gateway.tasks import statements as sql
from services.gateway.tasks.task import Status, Task, map_of, new_id, outstanding
from services.kit.postgres.database import Database
from services.kit.tokens import Principal

EXPIRED_AT_ONCE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A task that this gateway owns, as long as nobody has raised its fence."""

    id: str
    fence: int
    server: str
    tool: str
    request: bytes
    repeatable: bool
    started: bool
    """Whether its server may have been asked already, in this round."""
    runs: int
    rounds: int
    input_requests: bytes | None
    input_responses: bytes | None
    request_state: bytes | None


class TooManyTasksError(Exception):
    """The caller has as many tasks as they may."""


class TaskStore:
    """All of it raises DatabaseDownError when Postgres doesn't answer."""

    def __init__(self, database: Database, settings: TasksSettings) -> None:
        self._database = database
        self._settings = settings

    async def create(
        self, who: Principal, server: str, tool: str, request: bytes, *, repeatable: bool
    ) -> Task:
        """A new task, which anybody may take on; it is committed.

        Raises:
            TooManyTasksError: `who` has as many as they may.
        """
        key = _key(who)

        async def work(connection: asyncpg.Connection) -> asyncpg.Record | None:
            async with connection.transaction():
                await connection.execute(sql.LOCK, key)
                if (await connection.fetchval(sql.COUNT, key) or 0) >= self._settings.per_principal:
                    return None
                values = (new_id(), key, server, tool, repeatable, request, self._settings.ttl_seconds)
                return await connection.fetchrow(sql.CREATE, *values)

        if (row := await self._database.run(work)) is None:
            raise TooManyTasksError
        return _task(row)

    async def get(self, task_id: str, who: Principal) -> Task | None:
        """The task, if it is theirs and hasn't expired."""
        rows = await self._fetch(sql.GET, task_id, _key(who))
        return _task(rows[0]) if rows else None

    async def cancel(self, task_id: str, who: Principal) -> None:
        """End a task that hasn't ended; whoever runs it may not write to it any more."""
        await self._execute(sql.CANCEL, task_id, _key(who))

    async def answer(self, task_id: str, who: Principal, responses: dict[str, msgspec.Raw]) -> bool:
        """Keep responses to what is asked; others are ignored. Whether the task can go on now."""

        async def work(connection: asyncpg.Connection) -> bool:
            async with connection.transaction():
                row = await connection.fetchrow(sql.GET_LOCKED, task_id, _key(who))
                if row is None or (task := _task(row)).status is not Status.INPUT_REQUIRED:
                    return False
                wanted = outstanding(task)
                given = {key: value for key, value in responses.items() if key in wanted}
                complete = len(given) == len(wanted)
                known = encode({**map_of(task.input_responses), **given})
                await connection.execute(sql.RESUME if complete else sql.ANSWER, task_id, known)
                return complete

        return await self._database.run(work)

    async def claim(self, count: int) -> list[Job]:
        """Take on tasks that nobody runs, or whose owner says nothing any more."""
        seconds = self._settings.lease_seconds
        rows = await self._fetch(sql.CLAIM, PROCESS, seconds, count)
        return [Job(**dict(row)) for row in rows]

    async def start(self, job: Job) -> bool:
        """Note that the server is about to be asked; False if the task isn't ours any more."""
        return await self._execute(sql.START, job.id, job.fence)

    async def renew(self, jobs: Collection[Job]) -> set[str]:
        """Stay the owner; the ids of those that are still ours."""
        values = ([job.id for job in jobs], self._settings.lease_seconds, [job.fence for job in jobs])
        rows = await self._fetch(sql.RENEW, *values)
        return {row["id"] for row in rows}

    async def release(self, jobs: Collection[Job], seconds: float = 0) -> None:
        """Let others take tasks on, after a while."""
        await self._execute(sql.RELEASE, [job.id for job in jobs], seconds, [job.fence for job in jobs])

    async def complete(self, job: Job, result: bytes) -> bool:
        """Write the result; False if the task isn't ours any more."""
        return await self._execute(sql.END, job.id, job.fence, Status.COMPLETED, None, result, None)

    async def fail(self, job: Job, error: bytes, message: str) -> bool:
        """Write the error, likewise."""
        return await self._execute(sql.END, job.id, job.fence, Status.FAILED, message, None, error)

    async def ask(self, job: Job, requests: dict[str, msgspec.Raw], state: bytes | None) -> bool:
        """Wait for the caller's input, likewise; without requests there is nothing to wait for."""
        statement = sql.ASK if requests else sql.AGAIN
        return await self._execute(statement, job.id, job.fence, encode(requests), state)

    async def expire(self) -> None:
        """Delete tasks whose time is over."""
        await self._execute(sql.EXPIRE, EXPIRED_AT_ONCE)

    async def _fetch(self, statement: str, *values: Any) -> list[asyncpg.Record]:  # noqa: ANN401 - columns of any type
        async def work(connection: asyncpg.Connection) -> list[asyncpg.Record]:
            return await connection.fetch(statement, *values)

        return await self._database.run(work)

    async def _execute(self, statement: str, *values: Any) -> bool:  # noqa: ANN401 - columns of any type
        """Whether it changed anything."""
        done = await self._database.run(lambda it: it.execute(statement, *values))
        return not done.endswith(" 0")


def _key(who: Principal) -> str:
    """Who a task belongs to: an issuer's subject may be any text of any length."""
    text = f"{len(who.issuer)}:{who.issuer}{who.subject}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _task(row: asyncpg.Record) -> Task:
    values: dict[str, Any] = dict(row)
    values["status"] = Status(values["status"])
    return Task(**values)
