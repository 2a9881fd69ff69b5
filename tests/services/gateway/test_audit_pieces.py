"""The audit stream's parts: room that is bounded, refusals that gather, records that no store takes."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from services.gateway.audit import buffer as module
from services.gateway.audit.buffer import MAX_REFUSALS, AuditBuffer
from services.gateway.audit.postgres_sink import PostgresSink
from services.gateway.audit.record import AuditRecord, Kind, Outcome, clean, digest
from services.gateway.audit.sinks import LogSink, SinkDownError
from services.gateway.config_audit import Audit
from services.gateway.errors import HttpRefusal
from services.gateway.messages import raw
from services.kit.postgres.database import Database
from services.kit.postgres.settings import PostgresSettings

if TYPE_CHECKING:
    from tests.services.conftest import Store


def record(target: str = "add", outcome: Outcome = Outcome.OK, **fields: Any) -> AuditRecord:
    return AuditRecord(
        datetime.now(UTC), Kind.CALL, "tools/call", outcome, request_id="x", target=target, **fields
    )


class Memory:
    """A sink that keeps what it gets, or is away."""

    def __init__(self) -> None:
        self.records: list[AuditRecord] = []
        self.away = False

    async def write(self, first: int, records: Sequence[AuditRecord]) -> Sequence[AuditRecord]:
        if self.away:
            raise SinkDownError("away")
        assert first == len(self.records) + 1
        self.records += records
        return ()


def with_buffer(use: Callable[[AuditBuffer, Memory], Awaitable[None]], **settings: Any) -> Memory:
    async def main() -> Memory:
        sink = Memory()
        known = Audit.model_validate({"flush_seconds": 0.01, "shutdown_seconds": 1, **settings})
        buffer = AuditBuffer(known, sink, "here", CollectorRegistry())
        writing = asyncio.create_task(buffer.run())
        async with asyncio.timeout(20):
            await use(buffer, sink)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        await buffer.close()
        return sink

    return asyncio.run(main())


def test_room_comes_back_when_records_are_written() -> None:
    async def use(buffer: AuditBuffer, sink: Memory) -> None:
        for number in range(20):
            await buffer.reserve()
            buffer.add(record(str(number)))
        assert sink.records

    sink = with_buffer(use, buffer_records=3)
    assert [it.target for it in sink.records] == [str(number) for number in range(20)]


def test_calls_that_are_running_have_room_already() -> None:
    async def use(buffer: AuditBuffer, sink: Memory) -> None:
        sink.away = True
        await buffer.reserve()
        await buffer.reserve()
        with pytest.raises(HttpRefusal):
            await buffer.reserve()
        buffer.add(record())
        buffer.release()
        await buffer.reserve()
        buffer.add(record())
        with pytest.raises(HttpRefusal):
            await buffer.reserve()
        sink.away = False

    assert len(with_buffer(use, buffer_records=2, when_full="refuse").records) == 2


def test_who_stops_waiting_takes_no_room() -> None:
    async def use(buffer: AuditBuffer, sink: Memory) -> None:
        await buffer.reserve()
        waiting = [asyncio.create_task(buffer.reserve()) for _ in range(3)]
        await asyncio.sleep(0.01)
        for each in waiting[:2]:
            each.cancel()
        buffer.release()
        await waiting[2]
        buffer.release()
        await buffer.reserve()
        assert sink.records == []

    with_buffer(use, buffer_records=1, wait_seconds=10)


def test_equal_refusals_become_one_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHER_SECONDS", 0.05)

    async def use(buffer: AuditBuffer, sink: Memory) -> None:
        sink.away = True
        for _ in range(1000):
            buffer.refusal(record(outcome=Outcome.DENIED))
        buffer.refusal(record(outcome=Outcome.REFUSED))
        await asyncio.sleep(0.2)  # an attempt fails, and changes nothing about them
        sink.away = False

    assert [it.repeats for it in with_buffer(use).records] == [1000, 1]


def test_different_refusals_are_bounded_and_counted_all_the_same() -> None:
    async def use(buffer: AuditBuffer, sink: Memory) -> None:
        for number in range(10 * MAX_REFUSALS):
            buffer.refusal(record(f"tool-{number}", Outcome.DENIED))
        assert sink.records == []

    sink = with_buffer(use)
    assert len(sink.records) == MAX_REFUSALS + 1
    assert sum(it.repeats for it in sink.records) == 10 * MAX_REFUSALS


def test_a_record_that_comes_too_late_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    async def use(buffer: AuditBuffer, _sink: Memory) -> None:
        await buffer.close()
        buffer.add(record("late"))
        buffer.refusal(record("later"))

    with_buffer(use)
    assert [json.loads(line)["target"] for line in capsys.readouterr().err.splitlines()] == ["late", "later"]


def test_one_record_that_postgres_refuses_keeps_no_other_out(store: Store) -> None:
    store.migrate()
    bad = record("bad")._replace(arguments_sha256=b"too short")
    records = [record(str(number)) for number in range(9)]
    records.insert(4, bad)

    async def main() -> Sequence[AuditRecord]:
        database = Database(PostgresSettings.model_validate(store.settings), "test", CollectorRegistry())
        await database.open()
        try:
            return await PostgresSink(database, "here").write(1, records)
        finally:
            await database.close()

    assert asyncio.run(main()) == [bad]
    kept = store.rows("SELECT sequence, target FROM gateway.audit ORDER BY sequence")
    assert [row["sequence"] for row in kept] == [1, 2, 3, 4, 6, 7, 8, 9, 10]


def test_a_log_that_is_gone_takes_no_records() -> None:
    output = io.StringIO()
    output.close()
    with pytest.raises(SinkDownError):
        asyncio.run(LogSink("here", output).write(1, [record()]))


@given(st.text())
def test_any_text_can_be_stored(text: str) -> None:
    stored = clean(text)
    assert "\0" not in stored
    assert stored.encode().decode() == stored
    assert len(stored) <= 1024


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(alphabet="aé€")
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet="abcé"), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(alphabet="abcé"), json_values))
def test_a_digest_depends_on_nothing_but_the_content(arguments: dict[str, Any]) -> None:
    turned = dict(reversed(arguments.items()))
    spaced = json.dumps(turned, indent=3).encode()
    assert digest(raw(arguments)) == digest(type(raw(0))(spaced))
    assert digest(raw(arguments)) != digest(raw({**arguments, "d": 1}))
