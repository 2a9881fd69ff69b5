"""What was approved, and what a definition is in its light."""

from collections.abc import Collection
from enum import StrEnum

from services.kit.pins import Lock, skeleton


class Reason(StrEnum):
    """Why a tool or prompt is withheld; the value of a metric's label."""

    CHANGED = "changed"
    ADDED = "added"
    SHADOWING = "shadowing"
    """It was added, and its name is taken for that of something approved."""
    MALFORMED = "malformed"
    """Two readers could take its definition for different things."""


class Approved:
    """A lock, ready to compare with."""

    def __init__(self, lock: Lock) -> None:
        self.key_id = lock.key_id
        self._digests = {(server, kind, name): it.sha256 for server, kind, name, it in lock.entries()}
        self._looks = {(kind, skeleton(name)) for _, kind, name, _ in lock.entries()}

    @property
    def size(self) -> int:
        """How many definitions there are."""
        return len(self._digests)

    def digest(self, server: str, kind: str, name: str) -> str | None:
        """Of what was approved under this name."""
        return self._digests.get((server, kind, name))

    def judge(self, server: str, kind: str, name: str, digests: Collection[str | None]) -> Reason | None:
        """Why what a server lists under a name isn't what was approved; None: it is.

        Args:
            server: who lists it.
            kind: "tools" or "prompts".
            name: as the server has it.
            digests: of each definition that its replicas list; None for one that is malformed.
        """
        approved = self.digest(server, kind, name)
        if None in digests:
            return Reason.MALFORMED
        if approved is None:
            return Reason.SHADOWING if (kind, skeleton(name)) in self._looks else Reason.ADDED
        return None if all(digest == approved for digest in digests) else Reason.CHANGED
