"""Writing files so that nobody ever sees half of one.

`create` and `overwrite` write a temporary file beside the target, flush it to disk, and give it the target's
name in one step. A crash leaves the old file or the new one, at worst also a `.mcp-….tmp` beside it.
`append` adds to the file itself under a lock, and takes back what it added when that fails.
"""

import errno
import fcntl
import os
import secrets
import stat
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Final, Literal

from services.servers.filesystem.errors import FileError
from services.servers.filesystem.names import Location
from services.servers.filesystem.results import Written
from services.servers.filesystem.sandbox import Sandbox, entry
from services.servers.filesystem.syscalls import rename_without_replacing
from services.servers.kit import checkpoint

Mode = Literal["create", "overwrite", "append"]

_CHUNK: Final = 1024 * 1024
_LOCK_RETRY_SECONDS: Final = 0.01


def write(sandbox: Sandbox, place: Location, data: bytes, mode: Mode, *, most: int) -> Written:
    """Write `data` to the file at `place`.

    Args:
        sandbox: the allowed folders.
        place: the file; its directory exists.
        data: the contents, or what is added to them.
        mode: `create` fails when the file exists; `overwrite` and `append` create it when it does not.
        most: bytes that the file may have afterwards.

    Raises:
        FileError: the file can't be written or would get too large; it is then as before.
    """
    _check_size(place, len(data), most)
    with sandbox.parent(place) as directory:
        existing = entry(directory, place.name)
        if existing is None:
            _put(directory, place.name, data, permissions=None, replace=mode == "overwrite")
            return Written(path=place.path, size=len(data), created=True)
        if mode == "create":
            raise FileError(f"{place.path!r} already exists; use mode overwrite or append")
        sandbox.check_contents(place, existing)
        if mode == "overwrite":
            _put(directory, place.name, data, permissions=stat.S_IMODE(existing.st_mode), replace=True)
            return Written(path=place.path, size=len(data), created=False)
    return Written(path=place.path, size=_append(sandbox, place, data, most), created=False)


def give_name(source_fd: int, source: str, target_fd: int, target: str) -> None:
    """Rename within open directories; fail when `target` exists.

    Raises:
        OSError: EEXIST, or what rename(2) says.
    """
    try:
        rename_without_replacing(source_fd, source, target_fd, target)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOSYS}:
            raise
        # NFS has no such rename. A link can't replace anything either, so it is as good for files; a
        # directory can't be linked, but a rename replaces at most an empty one.
        if stat.S_ISDIR(os.stat(source, dir_fd=source_fd, follow_symlinks=False).st_mode):
            if entry(target_fd, target) is not None:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
            os.rename(source, target, src_dir_fd=source_fd, dst_dir_fd=target_fd)
        else:
            os.link(source, target, src_dir_fd=source_fd, dst_dir_fd=target_fd, follow_symlinks=False)
            os.unlink(source, dir_fd=source_fd)


def sync_directory(directory: int) -> None:
    """Have changes to names in an open directory survive a crash, where its file system can promise that.

    Raises:
        OSError: the disk failed.
    """
    try:
        os.fsync(directory)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise


def _put(directory: int, name: str, data: bytes, *, permissions: int | None, replace: bool) -> None:
    """Make `data` the contents of `name` in an open directory, in one visible step that survives a crash."""
    with _temporary(directory, permissions) as (fd, temporary):
        _write_all(fd, data)
        os.fsync(fd)
        checkpoint()
        if replace:
            os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        else:
            give_name(directory, temporary, directory, name)
    sync_directory(directory)


@contextmanager
def _temporary(directory: int, permissions: int | None) -> Generator[tuple[int, str]]:
    """A new file, open for writing, that is removed unless the body renames it.

    `permissions` are those of the file that it will replace; a new one gets what the umask leaves.
    """
    name = f".mcp-{secrets.token_hex(8)}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(name, flags, 0o666 if permissions is None else 0o600, dir_fd=directory)
    try:
        if permissions is not None:
            os.fchmod(fd, permissions)  # before there is anything to read
        yield fd, name
    except BaseException:
        with suppress(FileNotFoundError):  # renamed already
            os.unlink(name, dir_fd=directory)
        raise
    finally:
        os.close(fd)


def _append(sandbox: Sandbox, place: Location, data: bytes, most: int) -> int:
    """Add `data` at the end of an existing file and return its new size."""
    with sandbox.file(place, os.O_WRONLY | os.O_APPEND) as fd:
        _lock(fd)
        size = os.fstat(fd).st_size
        _check_size(place, size + len(data), most)
        try:
            _write_all(fd, data)
            os.fsync(fd)
        except BaseException:
            os.ftruncate(fd, size)
            raise
        return size + len(data)


def _lock(fd: int) -> None:
    """Wait for the lock that every append takes, also another replica's; closing the file gives it back."""
    while True:
        checkpoint()
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_LOCK_RETRY_SECONDS)
        else:
            return


def _write_all(fd: int, data: bytes) -> None:
    """Write every byte, however few the disk takes at a time."""
    rest = memoryview(data)
    while rest:
        checkpoint()
        rest = rest[os.write(fd, rest[:_CHUNK]) :]


def _check_size(place: Location, size: int, most: int) -> None:
    if size > most:
        raise FileError(f"{place.path!r} would have {size} bytes; at most {most} are allowed")
