"""Holds audit records until they are written: so many at most, and none is dropped silently.

A call gets room for its record before it is carried out. So while records can't be written, calls go on until
all room is taken, and then wait or are refused. Refusals need no room: equal ones become one record that
counts them, so that whoever floods the gateway with them fills neither the buffer nor the table.
"""

import asyncio
import sys
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

from prometheus_client import CollectorRegistry

from services.gateway.audit.metrics import AuditMetrics
from services.gateway.audit.record import AuditRecord
from services.gateway.audit.sinks import Sink, SinkDownError, as_lines
from services.gateway.config_audit import Audit
from services.gateway.errors import UNAVAILABLE, HttpRefusal
from services.kit.logs import get_logger
from services.kit.metrics import OTHER

GATHER_SECONDS: Final = 2.0
"""How long equal refusals gather."""
MAX_REFUSALS: Final = 100
"""Different ones that gather at a time; the rest is told apart by kind and reason only."""
FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 2.0
"""Between attempts to write."""
RETRY_AFTER: Final = b"2"

Item = tuple[AuditRecord, "asyncio.Future[None] | None"]


class AuditBuffer:
    """The one way to the sink."""

    def __init__(self, settings: Audit, sink: Sink, replica: str, registry: CollectorRegistry) -> None:
        self._settings = settings
        self._sink = sink
        self._replica = replica
        self._durable = settings.mode == "durable"
        self._room = asyncio.Semaphore(settings.buffer_records)
        self._queue: deque[Item] = deque()
        self._refusals: dict[tuple[object, ...], AuditRecord] = {}
        self._due = 0.0
        self._batch: list[Item] = []
        """What is being written."""
        self._paid = 0
        """How many records of the batch have taken room."""
        self._next = 1
        self._wake = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._closed = False
        self._metrics = AuditMetrics(registry, lambda: len(self._queue) + len(self._batch))

    async def reserve(self) -> None:
        """Take room for one record, which `add` or `release` must follow.

        Raises:
            HttpRefusal: 503: there is none, or in durable mode nothing can be written now.
        """
        if self._room.locked() or (self._durable and not self._writable.is_set()):
            if self._settings.when_full == "refuse":
                raise self._refused("the audit log can't take a record of this call now; it wasn't made")
            try:
                async with asyncio.timeout(self._settings.wait_seconds):
                    if self._durable:
                        await self._writable.wait()
                    await self._room.acquire()
            except TimeoutError:
                raise self._refused(
                    "the audit log can't take a record of this call; it wasn't made"
                ) from None
        else:
            await self._room.acquire()

    def release(self) -> None:
        """Give back room that isn't needed."""
        self._room.release()

    def add(self, record: AuditRecord) -> "asyncio.Future[None] | None":
        """Write a record, in room that was reserved; in durable mode the result tells when it is done."""
        done = asyncio.get_running_loop().create_future() if self._durable else None
        if self._closed:
            self._lose([record])
        else:
            self._queue.append((record, done))
            self._wake.set()
        return done

    async def committed(self, done: "asyncio.Future[None]") -> None:
        """Wait until a record is written.

        Raises:
            HttpRefusal: 503: it isn't yet. It will be, as soon as that is possible.
        """
        try:
            async with asyncio.timeout(self._settings.wait_seconds):
                await done
        except TimeoutError:
            raise self._refused("the call was carried out, but its audit record isn't written yet") from None

    def refusal(self, record: AuditRecord) -> None:
        """Write a record of something that was refused; no room is needed."""
        if self._closed:
            self._lose([record])
            return
        if not self._refusals:
            self._due = time.monotonic() + GATHER_SECONDS
            asyncio.get_running_loop().call_later(GATHER_SECONDS, self._wake.set)
        key = record.gist
        if key not in self._refusals and len(self._refusals) >= MAX_REFUSALS:
            record = record._replace(method=OTHER, issuer=None, subject=None, server=None, target=None)
            key = record.gist
        found = self._refusals.get(key)
        self._refusals[key] = record if found is None else found._replace(repeats=found.repeats + 1)

    async def run(self) -> None:
        """Write for ever."""
        while True:
            await self._wake.wait()
            if not self._durable and len(self._queue) < self._settings.batch_records:
                await asyncio.sleep(self._settings.flush_seconds)
            self._wake.clear()
            self._take(time.monotonic())
            pause = FIRST_PAUSE_SECONDS
            while self._batch and not await self._write():
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            if self._queue:
                self._wake.set()

    async def close(self) -> None:
        """Write what is left; what can't be within the time there is goes to standard error."""
        try:
            async with asyncio.timeout(self._settings.shutdown_seconds):
                while self._batch or self._queue or self._refusals:
                    self._take(float("inf"))
                    if not await self._write():
                        await asyncio.sleep(FIRST_PAUSE_SECONDS)
        except TimeoutError:
            get_logger().error("audit records couldn't be written in time")
        finally:
            self._closed = True
            left = [record for record, _ in (*self._batch, *self._queue)]
            if left or self._refusals:
                self._lose([*left, *self._refusals.values()])

    def _take(self, now: float) -> None:
        """Make the next batch, unless there is one."""
        if self._batch:
            return
        self._paid = min(len(self._queue), self._settings.batch_records)
        self._batch = [self._queue.popleft() for _ in range(self._paid)]
        if self._refusals and now >= self._due:
            self._batch += [(record, None) for record in self._refusals.values()]
            self._refusals = {}
        self._next += len(self._batch)

    async def _write(self) -> bool:
        """Write the batch; whether it worked."""
        began = time.perf_counter()
        records = [record for record, _ in self._batch]
        first = self._next - len(records)
        try:
            unwritable = await self._sink.write(first, records)
        except SinkDownError as error:
            self._metrics.failures.inc()
            if self._writable.is_set():
                get_logger().warning("audit records wait", waiting=len(self._queue), reason=str(error))
            self._writable.clear()
            return False
        self._metrics.seconds.observe(time.perf_counter() - began)
        self._metrics.written.inc(len(records) - len(unwritable))
        if unwritable:
            self._lose(unwritable)
        self._writable.set()
        for _, done in self._batch:
            if done is not None and not done.done():  # the caller may have left
                done.set_result(None)
        for _ in range(self._paid):
            self._room.release()
        self._batch = []
        return True

    def _lose(self, records: Sequence[AuditRecord]) -> None:
        """The last resort: whoever reads the process's errors has them."""
        self._metrics.lost.inc(len(records))
        sys.stderr.write(as_lines("audit record not written", self._replica, None, records))
        sys.stderr.flush()
        get_logger().error("audit records went to standard error", count=len(records))

    def _refused(self, message: str) -> HttpRefusal:
        self._metrics.refused.inc()
        return HttpRefusal(
            503,
            message,
            reason="audit_unavailable",
            code=UNAVAILABLE,
            headers=((b"retry-after", RETRY_AFTER),),
            violation=False,
        )
