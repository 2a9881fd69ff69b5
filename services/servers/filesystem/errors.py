"""What a caller is told when a file operation can't be done.

Every message names the path as the caller gave it and nothing else: not where a link points, not what lies
outside the allowed folders.
"""

import errno
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from services.servers.kit import ToolFailure


class FileError(ToolFailure):
    """The operation can't be done on this path; the message says why."""


class RefusedError(FileError):
    """The path leads, or may lead, outside the allowed folders, or to something that is not served."""


_REASONS: Final = {
    errno.ENOENT: "no such file or directory",
    errno.ENOTDIR: "a part of the path is not a directory",
    errno.EISDIR: "is a directory",
    errno.EEXIST: "already exists",
    errno.ENOTEMPTY: "the directory is not empty",
    errno.EACCES: "permission denied",
    errno.EPERM: "operation not permitted",
    errno.EROFS: "the file system is read-only",
    errno.ENOSPC: "no space left on the device",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be too large for the file system",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EINVAL: "the file system does not allow this",
    errno.EAGAIN: "kept changing while it was opened; try again",
    errno.EMFILE: "too many files are open; try again later",
    errno.EIO: "the disk reported an error",
    errno.ESTALE: "the network file system lost the file; try again",
}

_REFUSALS: Final = {
    errno.EXDEV: "is outside the allowed folders",
    errno.ELOOP: "passes through symbolic links that are not followed",
    errno.ENXIO: "is not a regular file",
}


@contextmanager
def explained(path: str) -> Generator[None]:
    """Turn an `OSError` of the body into a `FileError` about `path` (as the caller wrote it)."""
    try:
        yield
    except OSError as error:
        if refusal := _REFUSALS.get(error.errno or 0):
            raise RefusedError(f"{path!r} {refusal}") from error
        reason = _REASONS.get(error.errno or 0)
        if reason is None:
            raise
        raise FileError(f"{path!r}: {reason}") from error
