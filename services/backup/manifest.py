"""What is known of a backup; written last, so that a backup without one is not a backup."""

import re
from datetime import UTC, datetime
from typing import Final

import msgspec

from services.backup.errors import RefusedError

FORMAT: Final = 1
FILE: Final = "manifest.json"
PARTS: Final = {"postgres": "database.pgdump", "redis": "snapshot.rdb", "configuration": "objects.json"}
"""What is backed up, and the name of each one's object."""

_TIME: Final = "%Y%m%dT%H%M%SZ"
_NAMED: Final = re.compile(r"\d{8}T\d{6}Z", re.ASCII)


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One backup.

    Attributes:
        format: Of this file.
        stack: Whose it is.
        part: What it is a backup of.
        time: When it was begun; part of its objects' names.
        object: Name of the object with the data.
        version: That object's version, where the bucket keeps versions.
        bytes: How much it is.
        sha256: Of all of it.
        made_with: Versions, by program.
        counts: What is in it, by table or kind.
    """

    format: int = FORMAT
    stack: str
    part: str
    time: str
    object: str
    version: str | None
    bytes: int
    sha256: str
    made_with: dict[str, str]
    counts: dict[str, int]


def now() -> str:
    """The moment as it is in names: sorted as text they are sorted by time."""
    return datetime.now(UTC).strftime(_TIME)


def folder(stack: str, part: str, time: str = "") -> str:
    """Where the objects of a backup are, or those of all backups of a part."""
    return f"{stack}/{part}/" + (f"{time}/" if time else "")


def is_time(text: str) -> bool:
    """Whether it can be a backup's time."""
    return _NAMED.fullmatch(text) is not None


def encode(manifest: Manifest) -> bytes:
    """As JSON, for people too."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def decode(text: bytes, stack: str, part: str, time: str) -> Manifest:
    """Read one, which must be of the backup that was asked for.

    Raises:
        RefusedError: It isn't, or is malformed, or of a later release.
    """
    where = folder(stack, part, time) + FILE
    try:
        found = msgspec.json.decode(text, type=Manifest)
    except msgspec.MsgspecError as error:
        raise RefusedError(f"{where}: {error}") from None
    if (found.format, found.stack, found.part, found.time) != (FORMAT, stack, part, time):
        raise RefusedError(f"{where}: is of another backup or of a later release")
    if found.object != folder(stack, part, time) + PARTS[part]:
        raise RefusedError(f"{where}: names an object of another backup")
    return found
