"""Writes requests down in the audit stream: calls, refusals for security's sake, acts of administrators."""

import asyncio
from datetime import UTC, datetime
from typing import Final

from services.gateway.audit.buffer import AuditBuffer
from services.gateway.audit.record import AuditRecord, Kind, Outcome, clean, digest
from services.gateway.call import Call
from services.gateway.errors import RpcError
from services.gateway.record import Place, Record
from services.gateway.targets import Targets

CALLS: Final = frozenset({"tools/call"})
READS: Final = frozenset({"resources/read", "prompts/get"})
"""Of servers' content; by setting, they are calls as well."""


class Trail:
    """Makes room for a request's record before anything is done, and takes the record at its end."""

    def __init__(self, buffer: AuditBuffer | None, targets: Targets, *, reads: bool = False) -> None:
        """Prepare; without a buffer nothing is written."""
        self._buffer = buffer
        self._targets = targets
        self._calls = CALLS | READS if reads else CALLS

    async def admit(self, record: Record) -> None:
        """Make room for the record of what is about to be done.

        Raises:
            HttpRefusal: 503: there is none.
        """
        if self._buffer is not None and self._kind(record) is not Kind.VIOLATION:
            await self._buffer.reserve()
            record.place = Place.TAKEN

    async def settle(self, record: Record) -> None:
        """Write down how a request ended; in durable mode, return when that is committed.

        Raises:
            HttpRefusal: 503: it isn't yet.
        """
        if self._buffer is not None and (done := self._write(self._buffer, record)) is not None:
            await self._buffer.committed(done)

    def abandon(self, record: Record) -> None:
        """Give back the room of something that wasn't done after all."""
        if self._buffer is not None and record.place is Place.TAKEN:
            record.place = Place.USED
            self._buffer.release()

    def leave(self, record: Record) -> None:
        """Write down a request that ended without an answer, unless that is done."""
        if self._buffer is not None:
            if record.place is Place.TAKEN and record.error is None:
                record.ended("interrupted")
            self._write(self._buffer, record)

    def _write(self, buffer: AuditBuffer, record: Record) -> "asyncio.Future[None] | None":
        place, record.place = record.place, Place.USED
        if place is Place.TAKEN:
            return buffer.add(self._record(record, _outcome(record)))
        kind = self._kind(record)
        if place is Place.NONE and record.error is not None and (record.denied or kind is not Kind.VIOLATION):
            outcome = Outcome.DENIED if record.denied else Outcome.REFUSED
            buffer.refusal(self._record(record, outcome))
        return None

    def _kind(self, record: Record) -> Kind:
        if record.admin:
            return Kind.ADMIN
        return Kind.CALL if record.method in self._calls else Kind.VIOLATION

    def _record(self, record: Record, outcome: Outcome) -> AuditRecord:
        principal, call = record.principal, record.call
        server, target = ("", "") if call is None else self._named(call)
        arguments = None if call is None else call.params.get("arguments")
        return AuditRecord(
            time=datetime.fromtimestamp(record.time, UTC),
            kind=self._kind(record),
            method=clean(record.method),
            outcome=outcome,
            request_id=record.request_id,
            error_type=record.failure,
            trace_id=record.trace_id,
            issuer=None if principal is None else clean(principal.issuer),
            subject=None if principal is None else clean(principal.subject),
            era=record.era or None,
            server=clean(server) or None,
            target=clean(target) or None,
            arguments_sha256=None if arguments is None else digest(arguments),
            duration_ms=round(record.seconds * 1000, 3),
            cached=bool(record.cached),
        )

    def _named(self, call: Call) -> tuple[str, str]:
        """Server and name; as the caller wrote them where the call wasn't let through to a server."""
        if call.server or call.method not in CALLS | READS:
            return call.server, call.target
        try:
            named = self._targets.one(call.method, call.params)
        except RpcError:
            return "", ""
        return named.server, named.name


def _outcome(record: Record) -> Outcome:
    if record.denied:
        return Outcome.DENIED
    return Outcome.OK if record.failure is None else Outcome.ERROR
