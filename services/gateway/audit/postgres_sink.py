"""Audit records in Postgres."""

from collections.abc import Sequence
from typing import Final

import asyncpg

from services.gateway.audit.record import AuditRecord
from services.gateway.audit.sinks import PROCESS, SinkDownError
from services.kit.postgres.database import REFUSED, Database, DatabaseDownError

_TYPES: Final = {
    "time": "timestamptz",
    "repeats": "int",
    "arguments_sha256": "bytea",
    "duration_ms": "float8",
    "cached": "bool",
}
_COLUMNS: Final = AuditRecord._fields
_ARRAYS: Final = ", ".join(f"${n}::{_TYPES.get(name, 'text')}[]" for n, name in enumerate(_COLUMNS, 4))

# One statement is one transaction. A repeated batch conflicts with itself and changes nothing.
_INSERT: Final = f"""
    INSERT INTO gateway.audit (process, replica, sequence, {", ".join(_COLUMNS)})
    SELECT $1::uuid, $2::text, $3::bigint + row_number() OVER () - 1, *
    FROM unnest({_ARRAYS})
    ON CONFLICT DO NOTHING
"""  # noqa: S608 - made of our own names


class PostgresSink:
    """A batch is one statement, so one round trip and one commit."""

    def __init__(self, database: Database, replica: str) -> None:
        self._database = database
        self._replica = replica

    async def write(self, first: int, records: Sequence[AuditRecord]) -> Sequence[AuditRecord]:
        """Commit records.

        Raises:
            SinkDownError: Postgres is away, or can't be used.
        """
        columns = [list(column) for column in zip(*records, strict=True)]

        async def insert(connection: asyncpg.Connection) -> None:
            await connection.execute(_INSERT, PROCESS, self._replica, first, *columns)

        try:
            await self._database.run(insert)
        except DatabaseDownError as error:
            raise SinkDownError(str(error)) from None
        except REFUSED:
            # One of them is at fault: that one must not keep the others out.
            if len(records) == 1:
                return records
            half = len(records) // 2
            return [
                *await self.write(first, records[:half]),
                *await self.write(first + half, records[half:]),
            ]
        return ()
