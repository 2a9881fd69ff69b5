"""Changing the tree: new directories, moves, deletions. Names only, never what a link points to."""

import errno
import os
import stat
from typing import Final

from services.servers.filesystem.errors import FileError
from services.servers.filesystem.names import Location
from services.servers.filesystem.sandbox import Sandbox, check_kind, entry, existing_entry
from services.servers.filesystem.writing import give_name, sync_directory

_MOVE_REASONS: Final = {
    errno.EXDEV: "they are on different file systems; write a copy and delete the original",
    errno.EEXIST: "the destination already exists",
    errno.EINVAL: "a directory can't be moved into itself",
}


def create_directory(sandbox: Sandbox, place: Location) -> bool:
    """Make sure that `place` is a directory, with all directories above it; return whether it is new.

    Raises:
        FileError: something else has the name, or a directory can't be made.
    """
    created = False
    for depth in range(1, len(place.parts) + 1):
        level = Location(place.root, place.parts[:depth])
        with sandbox.parent(level) as directory:
            try:
                os.mkdir(level.name, dir_fd=directory)
            except FileExistsError:
                created = False
            else:
                created = True
                sync_directory(directory)
    with sandbox.directory(place):  # what was there may be a file, or a link that leads outside
        return created


def move(sandbox: Sandbox, source: Location, target: Location, *, overwrite: bool) -> None:
    """Give the file or directory at `source` the name `target`, in one step.

    Raises:
        FileError: there is no source; the target exists, unless both are files and `overwrite` is set; they
            are on different file systems.
        RefusedError: source or target is a link, a special file or an allowed folder.
    """
    with sandbox.parent(target) as to_directory, sandbox.parent(source) as from_directory:
        found = existing_entry(from_directory, source.name)
        is_directory = stat.S_ISDIR(found.st_mode)
        if not is_directory:
            check_kind(source, found)
        existing = entry(to_directory, target.name)
        if existing is not None and (is_directory or not overwrite):
            raise FileError(f"{target.path!r} already exists")
        if existing is not None:
            check_kind(target, existing)
        try:
            if existing is None:
                give_name(from_directory, source.name, to_directory, target.name)
            else:
                os.rename(source.name, target.name, src_dir_fd=from_directory, dst_dir_fd=to_directory)
            sync_directory(to_directory)
        except OSError as error:
            if reason := _MOVE_REASONS.get(error.errno or 0):
                raise FileError(f"can't move {source.path!r} to {target.path!r}: {reason}") from error
            raise


def delete_file(sandbox: Sandbox, place: Location) -> None:
    """Remove the regular file at `place`.

    Raises:
        FileError: there is none, or it is a directory.
        RefusedError: it is a link or special file.
    """
    with sandbox.parent(place) as directory:
        check_kind(place, existing_entry(directory, place.name))
        os.unlink(place.name, dir_fd=directory)
        sync_directory(directory)
