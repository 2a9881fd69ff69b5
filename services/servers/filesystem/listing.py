"""Listing a directory and telling what something is."""

import heapq
import os
import stat

from services.servers.filesystem.names import Location
from services.servers.filesystem.reading import mime_type
from services.servers.filesystem.results import Entry, FileInfo, Listing, entry_type, modified
from services.servers.filesystem.sandbox import Sandbox
from services.servers.kit import checkpoint


def list_directory(sandbox: Sandbox, place: Location, *, after: str, limit: int) -> Listing:
    """The first `limit` names after `after` in alphabetical (code point) order, with type, size and age.

    Raises:
        FileError: `place` is no directory that can be listed.
    """
    with sandbox.directory(place) as fd:
        names, hidden = _names(fd)
        page = heapq.nsmallest(limit + 1, (name for name in names if name > after))
        entries = [found for name in page[:limit] if (found := _entry(fd, name))]
    return Listing(
        path=place.path,
        entries=entries,
        next_after=page[limit - 1] if len(page) > limit else None,
        not_shown=hidden,
    )


def info(sandbox: Sandbox, place: Location) -> FileInfo:
    """Metadata of what is at `place`.

    Raises:
        FileError: there is nothing, or it leads outside.
    """
    found = sandbox.stat(place)
    kind = entry_type(found.st_mode)
    return FileInfo(
        path=place.path,
        type=kind,
        size=found.st_size,
        modified=modified(found),
        mode=f"{stat.S_IMODE(found.st_mode):04o}",
        hard_links=found.st_nlink,
        mime_type=mime_type(place, text=False) if kind == "file" else None,
    )


def is_text(name: str) -> bool:
    """Whether a name from the disk is valid UTF-8, so that it can be sent to a client and back."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _names(fd: int) -> tuple[list[str], int]:
    """The names in an open directory that are text, and how many are not."""
    shown: list[str] = []
    hidden = 0
    with os.scandir(fd) as found:
        for item in found:
            checkpoint()
            if is_text(item.name):
                shown.append(item.name)
            else:
                hidden += 1
    return shown, hidden


def _entry(directory: int, name: str) -> Entry | None:
    """What `name` is; None when it went away meanwhile."""
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return Entry(name=name, type=entry_type(found.st_mode), size=found.st_size, modified=modified(found))
