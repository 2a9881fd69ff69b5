"""The allowed folders, and the only ways to open anything in them.

Every operation starts from a descriptor that one of these methods hands out: a checked regular file, a
directory, or the directory that holds a name. What was checked is what is open, so nothing can be swapped
between check and use.
"""

import os
import stat
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Final

from services.servers.filesystem.errors import FileError, RefusedError, explained
from services.servers.filesystem.names import Location, Root, locate
from services.servers.filesystem.resolve import open_beneath

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY


class Sandbox:
    """Holds the allowed folders open; give it back with `close`."""

    def __init__(self, roots: Sequence[str], *, allow_hard_links: bool = False) -> None:
        """Open the folders.

        Args:
            roots: absolute paths of directories; what they are when this runs is what is served.
            allow_hard_links: serve files that have more than one name. One of them may be outside, and there
                is no telling; so the contents of such files are refused unless this is set.

        Raises:
            OSError: a folder can't be opened.
        """
        self._allow_hard_links = allow_hard_links
        self.roots: tuple[Root, ...] = tuple(Root(path, os.open(path, _DIRECTORY)) for path in roots)

    def close(self) -> None:
        """Close the folders."""
        for root in self.roots:
            os.close(root.fd)

    def locate(self, path: str) -> Location:
        """The place that a caller's `path` names; see `names.py`.

        Raises:
            RefusedError: it is outside or not a usable name.
        """
        return locate(path, self.roots)

    @contextmanager
    def file(self, place: Location, access: int = os.O_RDONLY) -> Generator[int]:
        """Open the regular file at `place`; an `OSError` of the body becomes a `FileError` as well.

        Raises:
            FileError: there is none or it can't be opened.
            RefusedError: it is a device, pipe or socket, leads outside, or has other hard links.
        """
        with explained(place.path):
            # Without O_NONBLOCK, opening a pipe would wait for somebody at its other end.
            fd = open_beneath(place.root.fd, place.relative, access | os.O_NONBLOCK | os.O_NOCTTY)
            try:
                self.check_contents(place, os.fstat(fd))
                yield fd
            finally:
                os.close(fd)

    @contextmanager
    def directory(self, place: Location) -> Generator[int]:
        """Open the directory at `place` for listing; an `OSError` of the body becomes a `FileError` as well.

        Raises:
            FileError: there is none, it can't be opened or leads outside.
        """
        with explained(place.path):
            fd = open_beneath(place.root.fd, place.relative, _DIRECTORY)
            try:
                yield fd
            finally:
                os.close(fd)

    @contextmanager
    def parent(self, place: Location) -> Generator[int]:
        """Open the directory that holds `place`, for changes to the name `place.name` in it.

        Raises:
            RefusedError: `place` is an allowed folder itself, or leads outside.
            FileError: the directory can't be opened.
        """
        if not place.parts:
            raise RefusedError(f"{place.path!r} is an allowed folder and can't be changed itself")
        with explained(place.path):
            fd = open_beneath(place.root.fd, place.parent.relative, _DIRECTORY)
            try:
                yield fd
            finally:
                os.close(fd)

    def stat(self, place: Location) -> os.stat_result:
        """The metadata of what is at `place`, following links that stay inside; opens nothing for reading.

        Raises:
            FileError: there is nothing, or it leads outside.
        """
        with explained(place.path):
            fd = open_beneath(place.root.fd, place.relative, os.O_PATH)
            try:
                return os.fstat(fd)
            finally:
                os.close(fd)

    def check_contents(self, place: Location, found: os.stat_result) -> None:
        """Raise the fitting error unless `found` is a regular file whose contents may be served."""
        check_kind(place, found)
        if found.st_nlink > 1 and not self._allow_hard_links:
            raise RefusedError(
                f"{place.path!r} has other hard links, which may be outside the allowed folders"
            )


def check_kind(place: Location, found: os.stat_result) -> None:
    """Raise the fitting error unless `found` is a regular file."""
    if stat.S_ISDIR(found.st_mode):
        raise FileError(f"{place.path!r} is a directory")
    if stat.S_ISLNK(found.st_mode):
        raise RefusedError(f"{place.path!r} is a symbolic link, which can be read but not changed")
    if not stat.S_ISREG(found.st_mode):
        raise RefusedError(f"{place.path!r} is not a regular file")


def entry(directory: int, name: str) -> os.stat_result | None:
    """The metadata of `name` in an open directory, never of what a link points to; None when there is none.

    Raises:
        OSError: the directory can't be searched.
    """
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def existing_entry(directory: int, name: str) -> os.stat_result:
    """As `entry`, where there must be one.

    Raises:
        FileNotFoundError: there is none.
        OSError: the directory can't be searched.
    """
    return os.stat(name, dir_fd=directory, follow_symlinks=False)
