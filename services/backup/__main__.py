"""One job: `python -m services.backup postgres|redis|configuration|restore|drill|prepare`.

Exit codes: 0 done; 1 a store or the bucket failed; 2 what it was told is wrong; 3 a backup isn't whole or not
what was backed up, and nothing was changed; 143 ended by SIGTERM, and what was begun was taken back.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Never

from services.backup import jobs
from services.backup.errors import ENDED, BackupError, WrongError
from services.backup.manifest import PARTS
from services.backup.settings import Settings
from services.kit.logs import configure_logging, get_logger
from services.kit.settings import SettingsError, load


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what is asked, and end the process where it fails."""
    options = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _end)
    # What a restore of the configuration writes is for kubectl.
    configure_logging("backup", stream=sys.stderr)
    try:
        settings = load(Settings)
        configure_logging("backup", settings.log_level, stream=sys.stderr)
        _run(options, settings)
    except SettingsError as error:
        _fail(WrongError(str(error)))
    except BackupError as error:
        _fail(error)


def _run(options: argparse.Namespace, settings: Settings) -> None:
    login: Path = options.login
    match options.job:
        case "prepare":
            jobs.prepare(settings, options.what, login, options.owner, options.seconds, options.name)
        case "restore":
            jobs.restore(settings, options.what, login, options.work)
        case "drill":
            jobs.drill(settings, options.parts, login, options.work)
        case part:
            jobs.back_up(settings, part, login)


def parser() -> argparse.ArgumentParser:
    """What can be asked for."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--login", type=Path, default=Path(), help="folder with the files username and password"
    )
    shared.add_argument("--work", type=Path, default=Path(), help="folder for what a restore unpacks")
    made = argparse.ArgumentParser(prog="mcp-backup", description="Back up to S3, and back.")
    found = made.add_subparsers(dest="job", required=True)
    for part in PARTS:
        found.add_parser(part, parents=[shared], help=f"back {part} up")
    restore = found.add_parser(
        "restore", parents=[shared], help="restore what BACKUP_AT says: a time, or newest"
    )
    restore.add_argument("what", choices=PARTS)
    drill = found.add_parser("drill", parents=[shared], help="restore the newest backups beside the stack")
    drill.add_argument("parts", nargs="+", choices=PARTS)
    prepare = found.add_parser("prepare", parents=[shared], help="make a login for the job that follows")
    prepare.add_argument("what", choices=("postgres", "redis", "login"))
    prepare.add_argument(
        "--owner", type=Path, default=Path(), help="folder with the login of the store's owner"
    )
    prepare.add_argument(
        "--seconds", type=int, default=3600, help="how long the login is good for (%(default)s)"
    )
    prepare.add_argument("--name", default="backup", help="user name, for `prepare login`")
    return made


def _fail(error: BackupError) -> Never:
    get_logger().error("failed", reason=str(error), status=error.status)
    raise SystemExit(error.status)


def _end(_number: int, _frame: FrameType | None) -> Never:
    """Out of whatever is done; what is being taken back then must not be interrupted again."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(ENDED)


if __name__ == "__main__":
    main()
