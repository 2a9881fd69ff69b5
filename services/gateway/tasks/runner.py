"""Has tasks carried out: those that were made here, and those whose gateway is gone.

A gateway owns a task by a lease, which it renews. When it is silent for too long, another one takes the task
over and raises its fence, so that a late result of the first is refused. What the server was asked may have
been carried out by then: only what is safe to repeat is asked again, anything else has failed.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from services.gateway.config_tasks import Tasks as TasksSettings
from services.gateway.tasks.carrying import Carrier
from services.gateway.tasks.metrics import TaskMetrics
from services.gateway.tasks.outcome import Outcome, failed
from services.gateway.tasks.store import Job, TaskStore
from services.kit.health import Health
from services.kit.logs import get_logger
from services.kit.postgres.database import DatabaseDownError

EXPIRE_SECONDS: Final = 60.0
PAUSE_SECONDS: Final = 1.0
"""Before something is tried again that Postgres didn't do."""
INTERRUPTED: Final = (
    "the gateway that made this call is gone; the call may have been carried out, and isn't safe to repeat"
)
TOO_OFTEN: Final = "each gateway that made this call was gone before it ended"


class Runner:
    """Lives as long as the process."""

    def __init__(
        self,
        store: TaskStore,
        carrier: Carrier,
        settings: TasksSettings,
        health: Health,
        metrics: TaskMetrics,
    ) -> None:
        self._store = store
        self._carrier = carrier
        self._settings = settings
        self._health = health
        self._jobs: dict[str, tuple[Job, asyncio.Task[None]]] = {}
        self._metrics = metrics
        metrics.running.set_function(lambda: len(self._jobs))
        self._wake = asyncio.Event()
        self._expire_at = 0.0

    def look(self) -> None:
        """There may be a task to claim, or one to stop."""
        self._wake.set()

    async def run(self) -> None:
        """Claim, renew and expire until cancelled."""
        while True:
            self._wake.clear()
            try:
                await self._renew()
                await self._claim()
                await self._expire()
            except DatabaseDownError:
                await asyncio.sleep(PAUSE_SECONDS)
            try:
                async with asyncio.timeout(self._settings.lease_seconds / 3):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def finish(self, seconds: float) -> None:
        """Let running tasks end until so long after draining began; then leave them to other gateways."""
        deadline = self._health.draining_since + seconds
        while self._jobs and (left := deadline - time.monotonic()) > 0:
            running = [task for _, task in self._jobs.values()]
            await asyncio.wait(running, timeout=min(left, self._settings.lease_seconds / 3))
            await self._try(self._renew)
        jobs = [job for job, _ in self._jobs.values()]
        await self._stop(set(self._jobs))
        if jobs:
            get_logger().warning("tasks are left to other gateways", count=len(jobs))
            await self._try(lambda: self._store.release(jobs))

    async def _renew(self) -> None:
        jobs = [job for job, _ in self._jobs.values()]
        if jobs:
            kept = await self._store.renew(jobs)
            # Cancelled, expired, or another's: what is still running here is for nothing.
            await self._stop({job.id for job in jobs} - kept)

    async def _claim(self) -> None:
        free = self._settings.running - len(self._jobs)
        if free <= 0 or self._health.draining:
            return
        for job in await self._store.claim(free):
            # Our own, when we were silent for too long: what runs here has another fence.
            await self._stop({job.id})
            self._jobs[job.id] = (job, asyncio.create_task(self._carry(job)))

    async def _expire(self) -> None:
        if time.monotonic() >= self._expire_at:
            self._expire_at = time.monotonic() + EXPIRE_SECONDS
            await self._store.expire()

    async def _stop(self, ids: set[str]) -> None:
        running = [self._jobs[each][1] for each in ids if each in self._jobs]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _carry(self, job: Job) -> None:
        try:
            outcome = await self._outcome(job)
            if outcome is None or not await self._written(outcome, job):
                self._metrics.late.inc()
                get_logger().warning("a task was no longer ours", task=job.id, server=job.server)
        except Exception:  # noqa: BLE001 - a defect of ours; the lease runs out, and the task isn't lost
            get_logger().exception("task stopped", task=job.id)
        finally:
            del self._jobs[job.id]
            self._wake.set()

    async def _outcome(self, job: Job) -> Outcome | None:
        if job.started:
            self._metrics.taken_over.inc()
            if not job.repeatable:
                return failed(INTERRUPTED)
            if job.runs >= self._settings.max_runs:
                return failed(TOO_OFTEN)
        return await self._carrier.carry(job, lambda: self._store.start(job))

    async def _written(self, outcome: Outcome, job: Job) -> bool:
        """What came of it is kept here until Postgres takes it, or says that the task isn't ours any more."""
        while True:
            try:
                done = await outcome.write(self._store, job)
            except DatabaseDownError:
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                self._metrics.written.inc(done)
                return done

    async def _try(self, do: Callable[[], Awaitable[None]]) -> None:
        try:
            await do()
        except DatabaseDownError:
            # Leases run out by themselves.
            get_logger().warning("tasks couldn't be handed over")
