"""Keeps the lock equal to its file while the gateway runs."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from prometheus_client import Counter

from services.gateway.config_pinning import Pinning
from services.gateway.pinning.approved import Approved
from services.kit.logs import get_logger
from services.kit.pins import Lock, LockError, PinKeyError, VerifyingKey
from services.kit.pins.lock import MAX_BYTES


class LockFile:
    """The lock in force: the last version of the file that was valid."""

    def __init__(self, settings: Pinning, reloads: Counter) -> None:
        """Read the file and the keys.

        Raises:
            LockError: the lock can't be used.
            PinKeyError: a key can't be used.
        """
        self._settings = settings
        self._reloads = reloads
        self._seen = self._versions()
        self.approved: Approved = read_approved(settings)
        self.on_change: Callable[[], None] = lambda: None
        """Called when there is another one."""

    async def watch(self) -> None:
        """Follow changes until cancelled. By looking: a ConfigMap changes by moving a symbolic link."""
        while True:
            await asyncio.sleep(self._settings.reload_seconds)
            if self._versions() != self._seen:
                self.reload()

    def reload(self) -> str | None:
        """Read the file and the keys now; what is wrong with them, so that the old lock stays in force."""
        self._seen = self._versions()
        try:
            self.approved = read_approved(self._settings)
        except (LockError, PinKeyError) as error:
            self._reloads.labels("refused").inc()
            get_logger().error("lock refused, the old one stays in force", reason=str(error))
            return str(error)
        self._reloads.labels("loaded").inc()
        get_logger().info(
            "lock loaded",
            file=str(self._settings.lock_file),
            definitions=self.approved.size,
            key=self.approved.key_id,
        )
        self.on_change()
        return None

    def _versions(self) -> list[tuple[int, ...] | None]:
        return [_version(path) for path in (self._settings.lock_file, *self._settings.public_key_files)]


def read_approved(settings: Pinning) -> Approved:
    """What the lock says.

    Raises:
        LockError: the lock can't be used.
        PinKeyError: a key can't be used.
    """
    keys = [VerifyingKey.read(path) for path in settings.public_key_files]
    try:
        with settings.lock_file.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise LockError(f"{settings.lock_file}: {error.strerror}") from None
    try:
        return Approved(Lock.parse(text, keys))
    except LockError as error:
        raise LockError(f"{settings.lock_file}: {error}") from None


def _version(path: Path) -> tuple[int, ...] | None:
    """What changes when the file does; None while it isn't there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_ino, found.st_size)
