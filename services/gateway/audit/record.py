"""What one record of the audit stream says, and how it is written as text."""

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

import msgspec

from services.gateway.messages import DECODE_ERRORS

LONGEST_TEXT: Final = 1024
"""Of what callers choose: names and URIs."""

_sorted: Final = msgspec.json.Encoder(order="sorted")


class Kind(StrEnum):
    """What a record is about."""

    CALL = "call"
    VIOLATION = "violation"
    """A request refused for who or what sent it, before it was known what it asks for."""
    ADMIN = "admin"
    """An act of an administrator."""


class Outcome(StrEnum):
    """What came of it."""

    OK = "ok"
    ERROR = "error"
    """It was tried, and failed; whether it took effect may be unknown."""
    DENIED = "denied"
    """The caller may not do it, or didn't prove who they are; nothing was done."""
    REFUSED = "refused"
    """It can't be done now, or isn't a proper request; nothing was done."""


class AuditRecord(NamedTuple):
    """The columns of the table; `None` where there is nothing to say."""

    time: datetime
    """When the request came."""
    kind: Kind
    method: str
    outcome: Outcome
    request_id: str
    error_type: str | None = None
    repeats: int = 1
    """How many equal refusals this record stands for; the rest of it is of the first."""
    trace_id: str | None = None
    issuer: str | None = None
    subject: str | None = None
    era: str | None = None
    server: str | None = None
    target: str | None = None
    """The tool (or prompt, or resource), as its server calls it."""
    arguments_sha256: bytes | None = None
    duration_ms: float | None = None
    cached: bool = False

    @property
    def gist(self) -> tuple[Any, ...]:
        """What equal refusals have in common."""
        return (
            *(self.kind, self.method, self.outcome, self.error_type, self.issuer),
            *(self.subject, self.server, self.target),
        )


def digest(arguments: msgspec.Raw) -> bytes:
    """SHA-256 of arguments: equal for equal arguments, however they are spaced and their keys are ordered."""
    try:
        content = _sorted.encode(msgspec.json.decode(arguments))
    except DECODE_ERRORS:
        content = bytes(arguments)
    return hashlib.sha256(content).digest()


def clean(text: str) -> str:
    """`text` as any store takes it: not too long, and without what isn't a character."""
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    return text[:LONGEST_TEXT].replace("\0", "�")


def as_data(record: AuditRecord) -> dict[str, Any]:
    """A record as JSON data, without what there is nothing to say of."""
    data = {key: value for key, value in record._asdict().items() if value is not None}
    if record.arguments_sha256 is not None:
        data["arguments_sha256"] = record.arguments_sha256.hex()
    return data
