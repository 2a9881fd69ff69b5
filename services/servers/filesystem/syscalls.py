"""The two Linux system calls that the sandbox needs and Python's `os` lacks: openat2(2) and renameat2(2)."""

import ctypes
import errno
import os
from typing import Final

# openat2 came after the architectures' tables were unified; renameat2 before.
_SYS_OPENAT2: Final = 437
_SYS_RENAMEAT2: Final = {"x86_64": 316, "aarch64": 276, "riscv64": 276}

RESOLVE_NO_MAGICLINKS: Final = 0x02
"""Refuse links such as /proc/self/fd/3, which jump to an open file wherever it is."""
RESOLVE_BENEATH: Final = 0x08
"""Refuse (EXDEV) every step, absolute name and link that would leave the starting directory."""
RENAME_NOREPLACE: Final = 0x01

_libc: Final = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    """`struct open_how` of linux/openat2.h."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def openat2(dir_fd: int, path: str, flags: int, resolve: int) -> int:
    """Open `path` relative to `dir_fd` under the `resolve` rules and return a close-on-exec descriptor.

    Raises:
        OSError: errno of openat2(2); ENOSYS before Linux 5.6 and on some sandboxed kernels (gVisor).
    """
    how = _OpenHow(flags | os.O_CLOEXEC, 0, resolve)
    descriptor = _libc.syscall(
        ctypes.c_long(_SYS_OPENAT2),
        ctypes.c_int(dir_fd),
        ctypes.c_char_p(os.fsencode(path)),
        ctypes.byref(how),
        ctypes.c_size_t(ctypes.sizeof(how)),
    )
    if descriptor < 0:
        raise _last_error()
    return int(descriptor)


def rename_without_replacing(source_fd: int, source: str, target_fd: int, target: str) -> None:
    """Rename within two open directories; fail with EEXIST when `target` exists.

    Raises:
        OSError: errno of renameat2(2); EINVAL or ENOSYS where file system or kernel lack it (NFS).
    """
    number = _SYS_RENAMEAT2.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    outcome = _libc.syscall(
        ctypes.c_long(number),
        ctypes.c_int(source_fd),
        ctypes.c_char_p(os.fsencode(source)),
        ctypes.c_int(target_fd),
        ctypes.c_char_p(os.fsencode(target)),
        ctypes.c_uint(RENAME_NOREPLACE),
    )
    if outcome < 0:
        raise _last_error()


def _last_error() -> OSError:
    """Return the error that the last call on this thread left in errno."""
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
