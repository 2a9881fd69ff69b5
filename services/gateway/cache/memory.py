"""The first level: what this process keeps, bounded by bytes."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

ENTRY_BYTES: Final = 512
"""What an entry takes besides its content, about: its key and its place …"""
OBJECT_BYTES: Final = 600
"""… and for each JSON object whose first level is decoded in it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that is kept."""

    value: Any
    """Whatever the kind of cache keeps; it is handed out again and again, so nobody changes it."""
    server: str
    kind: str
    size: int
    expires_at: float
    """By `time.monotonic`."""

    @property
    def seconds_left(self) -> float:
        """For how long it is still fresh."""
        return self.expires_at - time.monotonic()


class Memory:
    """Entries by key; what wasn't used for longest makes room."""

    def __init__(self, max_bytes: int, evicted: Callable[[str, int], None]) -> None:
        """Prepare.

        Args:
            max_bytes: for all entries together.
            evicted: is told why, and how many entries went.
        """
        self._max_bytes = max_bytes
        self._evicted = evicted
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes) -> Entry | None:
        """The entry, if there is one that is fresh."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.expires_at <= time.monotonic():
            self._remove(key)
            self._evicted("expired", 1)
            return None
        self._entries.move_to_end(key)
        return entry

    def put(self, key: bytes, entry: Entry) -> None:
        """Keep an entry, unless it is larger than all that may be kept."""
        if key in self._entries:
            self._remove(key)
        if entry.size > self._max_bytes:
            return
        self._entries[key] = entry
        self.bytes += entry.size
        while self.bytes > self._max_bytes:
            self._remove(next(iter(self._entries)))
            self._evicted("memory", 1)

    def kept(self) -> dict[tuple[str, str], tuple[int, int]]:
        """How many entries there are of each server and kind, and how many bytes they take."""
        found: dict[tuple[str, str], tuple[int, int]] = {}
        for entry in self._entries.values():
            entries, size = found.get((entry.server, entry.kind), (0, 0))
            found[entry.server, entry.kind] = entries + 1, size + entry.size
        return found

    def drop(self, server: str | None, kind: str | None) -> None:
        """Forget what is of a server and a kind; None stands for all."""
        keys = [
            key
            for key, entry in self._entries.items()
            if server in {None, entry.server} and kind in {None, entry.kind}
        ]
        for key in keys:
            self._remove(key)
        if keys:
            self._evicted("purged", len(keys))

    def _remove(self, key: bytes) -> None:
        self.bytes -= self._entries.pop(key).size
