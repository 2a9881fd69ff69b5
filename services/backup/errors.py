"""How a job ends."""

from typing import Final

FAILED: Final = 1
"""A store or the bucket couldn't be used; trying again may help."""
WRONG: Final = 2
"""What the job was told can't be used."""
REFUSED: Final = 3
"""A backup isn't whole, or isn't what was backed up; nothing was changed."""
ENDED: Final = 143
"""SIGTERM; what was begun was taken back."""


class BackupError(Exception):
    """A job that failed; the message is one line and holds no secret."""

    status = FAILED


class WrongError(BackupError):
    """What it was told can't be used."""

    status = WRONG


class RefusedError(BackupError):
    """A backup that must not be restored."""

    status = REFUSED
