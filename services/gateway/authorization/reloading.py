"""Keeps the policy equal to its file while the gateway runs."""

import asyncio
from pathlib import Path

from prometheus_client import Counter

from services.gateway.authorization.decisions import Rulebook
from services.gateway.authorization.loading import PolicyError, load_policy
from services.gateway.authorization.model import Trust
from services.kit.logs import get_logger


class PolicyFile:
    """The policy in force: the last version of the file that was valid."""

    def __init__(self, path: Path, trust: Trust, *, seconds: float, reloads: Counter) -> None:
        """Read the file; it is looked at again every `seconds`.

        Raises:
            PolicyError: it can't be used.
        """
        self._path = path
        self._trust = trust
        self._seconds = seconds
        self._reloads = reloads
        self._seen = self._version()
        self.rulebook: Rulebook = load_policy(path, trust)

    async def watch(self) -> None:
        """Follow changes until cancelled. By looking: a ConfigMap changes by moving a symbolic link."""
        while True:
            await asyncio.sleep(self._seconds)
            self._look()

    def reload(self) -> str | None:
        """Read the file now; says why it was refused, or None when it is in force."""
        self._seen = self._version()
        try:
            self.rulebook = load_policy(self._path, self._trust)
        except PolicyError as error:
            self._reloads.labels("refused").inc()
            get_logger().error("policy refused, the old one stays in force", reason=str(error))
            return str(error)
        self._reloads.labels("loaded").inc()
        get_logger().info("policy loaded", file=str(self._path), rules=self.rulebook.size)
        return None

    def _look(self) -> None:
        if self._version() != self._seen:
            self.reload()

    def _version(self) -> tuple[int, ...] | None:
        """What changes when the file does; None while it isn't there."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_ino, found.st_size)
