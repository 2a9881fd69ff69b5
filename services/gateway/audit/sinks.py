"""Where audit records go."""

import sys
import uuid
from collections.abc import Sequence
from typing import Final, Protocol, TextIO

import msgspec

from services.gateway.audit.record import AuditRecord, as_data

PROCESS: Final = uuid.uuid4()
"""Numbers of records are this process's own; a number that is missing is a record that is."""

_encoder: Final = msgspec.json.Encoder()


class SinkDownError(Exception):
    """Records can't be written now; it may be that they were, all the same."""


class Sink(Protocol):
    """Writes records down."""

    async def write(self, first: int, records: Sequence[AuditRecord]) -> Sequence[AuditRecord]:
        """Write records, numbered from `first`; those that can't ever be written are given back.

        The same records may come twice with the same numbers, after an attempt of which it isn't known how it
        ended; they must be there once.

        Raises:
            SinkDownError: nothing can be written now.
        """
        ...


class LogSink:
    """Lines of JSON on standard output, among those of the log; `event` tells them apart."""

    def __init__(self, replica: str, output: TextIO | None = None) -> None:
        self._replica = replica
        self._output = output

    async def write(self, first: int, records: Sequence[AuditRecord]) -> Sequence[AuditRecord]:
        """Write and flush; nothing is buffered from here on."""
        output = self._output or sys.stdout
        try:
            output.write(as_lines("audit", self._replica, first, records))
            output.flush()
        except (OSError, ValueError) as error:
            raise SinkDownError(str(error)) from None
        return ()


def as_lines(event: str, replica: str, first: int | None, records: Sequence[AuditRecord]) -> str:
    """Records as lines of a JSON log; numbered, if `first` is given."""
    origin = {"level": "info", "service": "gateway", "event": event, "replica": replica, "process": PROCESS}
    lines: list[str] = []
    for index, record in enumerate(records):
        number = {} if first is None else {"sequence": first + index}
        lines.append(_encoder.encode({**origin, **number, **as_data(record)}).decode())
    return "".join(f"{line}\n" for line in lines)
