"""mcpctl: the one command of the platform; how it starts, and how it ends."""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from typing import Final, NoReturn

from infra.errors import PlatformError

EXIT_ERROR: Final = 2
EXIT_INTERRUPTED: Final = 130

_HINTS: Final = {
    errno.ENOSPC: "make space, or let MCP_PLATFORM_HOME and TMPDIR name directories on another disk",
    errno.EDQUOT: "make space, or let MCP_PLATFORM_HOME and TMPDIR name directories on another disk",
    errno.EROFS: "is its disk full or broken? a kernel then mounts it read-only",
    errno.EACCES: "it may belong to root: run this with sudo",
    errno.EPERM: "it may belong to root: run this with sudo",
}
"""What the machine refuses for a reason that its user can change; any other OSError is a defect of ours."""


def main() -> None:
    """Run mcpctl; a failure that the user can act on is printed as one line and a hint."""
    # A cancelled CI job sends SIGTERM; what runs below us must then be ended as it is on Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        from cli.app import app  # noqa: PLC0415 - this takes a second, in which Ctrl-C is as likely as later

        app()
    except SystemExit as ended:
        if ended.code == EXIT_INTERRUPTED:  # typer makes this of a KeyboardInterrupt
            _interrupted()
        raise
    except KeyboardInterrupt:
        _interrupted()
    except PlatformError as error:
        _fail(str(error), error.hint)
    except SyntaxError as error:  # of the program's own modules, which mcpctl is made of, too
        _fail(f"{error.filename}:{error.lineno}: {type(error).__name__}: {error.msg}", "")
    except OSError as error:
        if error.errno not in _HINTS:
            _defect()
        _fail(f"{error.filename or 'the machine'}: {os.strerror(error.errno)}", _HINTS[error.errno])
    except Exception:  # noqa: BLE001 - the last resort of a program; exit code 1 has another meaning
        _defect()


def _interrupted() -> NoReturn:
    print("interrupted; run the same command again to go on from here", file=sys.stderr)
    sys.exit(EXIT_INTERRUPTED)


def _fail(message: str, hint: str) -> NoReturn:
    from rich.markup import escape  # noqa: PLC0415 - as above

    from cli.console import err  # noqa: PLC0415 - as above

    err.print(f"[red]error:[/] {escape(message)}")
    if hint:
        err.print(f"[yellow]hint:[/] {escape(hint)}")
    sys.exit(EXIT_ERROR)


def _defect() -> NoReturn:
    traceback.print_exc()
    sys.exit(EXIT_ERROR)
