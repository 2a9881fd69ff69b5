"""Opening a path below a directory so that nothing can lead out of it, not even a link swapped in meanwhile.

The kernel does it in one call where it has openat2(2) (Linux 5.6). Elsewhere, such as under gVisor, the same
rules are applied component by component: each step opens one name in a directory that is already open, links
are read and walked by hand, and `..` returns to the directory that is held open, never to a path. Both ways
follow symbolic links that stay beneath the start, and refuse absolute ones and those that climb out (EXDEV).
"""

import errno
import functools
import os
import stat
from typing import Final

from services.servers.filesystem.syscalls import RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, openat2

_MAX_LINKS: Final = 40
"""The kernel's own limit of links in one path (path_resolution(7))."""
_ATTEMPTS: Final = 32
"""Tries while the tree is being renamed under our feet (openat2 then says EAGAIN)."""


def open_beneath(root_fd: int, relative: str, flags: int) -> int:
    """Open the existing `relative` below the directory `root_fd`; the caller closes the result.

    Raises:
        OSError: EXDEV when the path would leave the directory, else what open(2) says.
    """
    opener = open_by_kernel if kernel_resolves() else open_by_component
    return opener(root_fd, relative, flags)


@functools.cache
def kernel_resolves() -> bool:
    """Whether this kernel has openat2(2) and lets us use it (old seccomp profiles answer EPERM)."""
    directory = os.open("/", os.O_PATH | os.O_DIRECTORY)
    try:
        os.close(openat2(directory, ".", os.O_PATH, RESOLVE_BENEATH))
    except OSError as error:
        if error.errno in {errno.ENOSYS, errno.EPERM}:
            return False
        raise
    finally:
        os.close(directory)
    return True


def open_by_kernel(root_fd: int, relative: str, flags: int) -> int:
    """`open_beneath` by openat2(2)."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return openat2(root_fd, relative, flags, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)
        except BlockingIOError:  # EAGAIN: a rename made the kernel unsure about a `..` inside a link
            continue
    return openat2(root_fd, relative, flags, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)


def open_by_component(root_fd: int, relative: str, flags: int) -> int:
    """`open_beneath` where the kernel lacks openat2(2)."""
    flags |= os.O_CLOEXEC | os.O_NOFOLLOW
    held = [os.dup(root_fd)]  # the directories from the start to where we are, all open
    pending = relative.split("/")[::-1]
    links = 0
    try:
        while pending:
            name = pending.pop()
            if name in {"", "."}:
                continue
            if name == "..":
                _step_up(held)
                continue
            found = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=held[-1])
            mode = os.fstat(found).st_mode
            if stat.S_ISDIR(mode):
                held.append(found)
                continue
            try:
                if not stat.S_ISLNK(mode):
                    return _open_last(held[-1], name, flags, pending)
                links += 1
                pending += _link_target(found, links)
            finally:
                os.close(found)
        return os.open(".", flags, dir_fd=held[-1])
    finally:
        for directory in held:
            os.close(directory)


def _step_up(held: list[int]) -> None:
    """Return to the directory above; above the start there is none."""
    if len(held) == 1:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    os.close(held.pop())


def _link_target(link: int, links: int) -> list[str]:
    """Read the symbolic link open as `link`, its components in reverse: the next one last."""
    if links > _MAX_LINKS:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    target = os.readlink("", dir_fd=link)
    if target.startswith("/"):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    return target.split("/")[::-1]


def _open_last(directory: int, name: str, flags: int, pending: list[str]) -> int:
    """Open a non-directory, which only the end of a path may be; a link swapped in meanwhile gives ELOOP."""
    if pending:
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    return os.open(name, flags, dir_fd=directory)
