"""Reading a file, whole or in pieces."""

import base64
import mimetypes
import os
from dataclasses import dataclass
from typing import Final, Literal

from services.servers.filesystem.errors import FileError
from services.servers.filesystem.names import Location
from services.servers.filesystem.results import Encoding, FileContent
from services.servers.filesystem.sandbox import Sandbox
from services.servers.kit import checkpoint

CHUNK: Final = 1024 * 1024
"""Bytes read at a time; between two chunks a call can be given up."""
_UTF8_MAX: Final = 4
"""Bytes of the longest UTF-8 character."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes out of a file of `size` bytes."""

    data: bytes
    offset: int
    size: int


def read_piece(sandbox: Sandbox, place: Location, *, offset: int, limit: int | None, most: int) -> Piece:
    """Read at most `limit` bytes from `offset`; without a limit, all that follows.

    Args:
        sandbox: the allowed folders.
        place: the file.
        offset: bytes to skip; past the end gives an empty piece.
        limit: bytes wanted.
        most: bytes that one answer may have.

    Raises:
        FileError: the file can't be read, or more than `most` bytes are asked for.
    """
    with sandbox.file(place) as fd:
        size = os.fstat(fd).st_size
        wanted = max(0, size - offset) if limit is None else limit
        if wanted > most:
            raise FileError(
                f"{place.path!r}: {wanted} bytes are more than the {most} of one answer; "
                "read it in pieces by offset and limit"
            )
        return Piece(read_bytes(fd, offset, wanted), offset, size)


def read_bytes(fd: int, offset: int, wanted: int) -> bytes:
    """Read up to `wanted` bytes at `offset`, fewer only at the end of the file.

    Raises:
        OSError: what pread(2) says.
        AbandonedError: nobody waits for the result any more.
    """
    chunks: list[bytes] = []
    while wanted > 0:
        checkpoint()
        chunk = os.pread(fd, min(wanted, CHUNK), offset)
        if not chunk:
            break
        chunks.append(chunk)
        offset += len(chunk)
        wanted -= len(chunk)
    return b"".join(chunks)


def represent(place: Location, piece: Piece, encoding: Literal["auto", "utf-8", "base64"]) -> FileContent:
    """Represent a piece as text where it is UTF-8 (or must be), else as base64.

    Raises:
        FileError: text was asked for and it is none.
    """
    text = None if encoding == "base64" else _as_text(piece)
    if text is None and encoding == "utf-8":
        raise FileError(
            f"{place.path!r} is not UTF-8 text at offset {piece.offset}; read it with encoding base64"
        )
    used: Encoding = "base64" if text is None else "utf-8"
    shown = base64.b64encode(piece.data).decode() if text is None else text
    length = len(piece.data) if text is None else len(text.encode())
    end = piece.offset + length
    return FileContent(
        path=place.path,
        content=shown,
        encoding=used,
        size=piece.size,
        offset=piece.offset,
        length=length,
        next_offset=end if length and end < piece.size else None,
        mime_type=mime_type(place, text=text is not None),
    )


def mime_type(place: Location, *, text: bool) -> str:
    """A guess by the name's ending, else by whether the contents are text."""
    guess, _ = mimetypes.guess_type(place.name)
    return guess or ("text/plain" if text else "application/octet-stream")


def _as_text(piece: Piece) -> str | None:
    """Decode UTF-8; a character that the piece's end cuts in two is left for the next piece."""
    try:
        return piece.data.decode()
    except UnicodeDecodeError as error:
        at_end = len(piece.data) - error.start < _UTF8_MAX and "end of data" in error.reason
        more_follows = piece.offset + len(piece.data) < piece.size
        if at_end and more_follows and error.start > 0:
            return piece.data[: error.start].decode()
        return None
