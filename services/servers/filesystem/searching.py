"""Finding files by name and content, within bounds of results, entries and time.

Breadth first and in alphabetical order, so that a search that ends early has looked at what is nearest. Links
are reported but not followed: no loops, and nothing is found twice.
"""

import itertools
import os
import stat
import time
from collections import deque
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from services.servers.filesystem.errors import FileError
from services.servers.filesystem.listing import is_text
from services.servers.filesystem.names import Location
from services.servers.filesystem.patterns import Pattern
from services.servers.filesystem.reading import CHUNK, read_bytes
from services.servers.filesystem.results import Match, SearchResult, entry_type
from services.servers.filesystem.sandbox import Sandbox, entry
from services.servers.kit import checkpoint

Bound: TypeAlias = Literal["results", "entries", "time"]

_EXCERPT: Final = 200
"""Bytes of a matching line that are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Where a search ends, however much there is."""

    results: int
    entries: int
    seconds: float
    file_bytes: int
    """Larger files are not looked into."""


class _Stop(Exception):  # noqa: N818 - the end of a search, not an error
    """The search is at a bound."""

    def __init__(self, bound: Bound) -> None:
        super().__init__(bound)
        self.bound: Bound = bound


class Search:
    """One search; call `run` once."""

    def __init__(
        self, sandbox: Sandbox, start: Location, pattern: Pattern, needle: bytes, bounds: Bounds
    ) -> None:
        """Prepare a search.

        Args:
            sandbox: the allowed folders.
            start: the directory to look in.
            pattern: of the paths below `start`.
            needle: what a file must contain; empty to find files and directories by name alone.
            bounds: where to stop.
        """
        self._sandbox = sandbox
        self._start = start
        self._pattern = pattern
        self._needle = needle
        self._bounds = bounds
        self._deadline = time.monotonic() + bounds.seconds
        self._pending = deque([start])
        self._matches: list[Match] = []
        self._scanned = 0
        self._skipped = 0

    def run(self) -> SearchResult:
        """Search until done or at a bound.

        Raises:
            FileError: the start is no directory that can be listed.
        """
        self._names(self._start)  # a wrong start is an error; further down, what can't be read is skipped
        stopped_by: Bound | None = None
        try:
            while self._pending:
                self._visit(self._pending.popleft())
        except _Stop as stop:
            stopped_by = stop.bound
        return SearchResult(
            matches=self._matches, stopped_by=stopped_by, scanned=self._scanned, skipped=self._skipped
        )

    def _visit(self, place: Location) -> None:
        """Look at every entry of one directory."""
        try:
            with self._sandbox.directory(place) as directory:
                for name in self._names(place):
                    self._look(place.child(name), directory)
        except FileError:
            self._skipped += 1

    def _names(self, place: Location) -> list[str]:
        """The names in a directory, sorted; at most one more than the search may still look at."""
        with self._sandbox.directory(place) as directory, os.scandir(directory) as found:
            remaining = self._bounds.entries - self._scanned + 1
            return sorted(item.name for item in itertools.islice(found, remaining) if is_text(item.name))

    def _look(self, place: Location, directory: int) -> None:
        """Take one entry of an open directory into account."""
        self._stay_in_bounds()
        self._scanned += 1
        found = entry(directory, place.name)
        if found is None:  # gone meanwhile
            return
        if stat.S_ISDIR(found.st_mode):
            self._pending.append(place)
        below = place.parts[len(self._start.parts) :]
        if not self._pattern.matches(below):
            return
        line = self._first_line(place, found) if self._needle else None
        if self._needle and line is None:
            return
        if len(self._matches) == self._bounds.results:
            raise _Stop("results")
        number, text = line or (None, None)
        self._matches.append(
            Match(path=place.path, type=entry_type(found.st_mode), size=found.st_size, line=number, text=text)
        )

    def _first_line(self, place: Location, found: os.stat_result) -> tuple[int, str] | None:
        """Number (from 1) and text of the first line of a file that contains the needle, if one does."""
        if not stat.S_ISREG(found.st_mode):
            return None
        if found.st_size > self._bounds.file_bytes:
            self._skipped += 1
            return None
        try:
            with self._sandbox.file(place) as fd:
                return first_line(fd, self._needle)
        except FileError:
            self._skipped += 1
            return None

    def _stay_in_bounds(self) -> None:
        checkpoint()
        if self._scanned >= self._bounds.entries:
            raise _Stop("entries")
        if time.monotonic() > self._deadline:
            raise _Stop("time")


def first_line(fd: int, needle: bytes) -> tuple[int, str] | None:
    """Number (from 1) and text (shortened) of the first line that contains `needle`, read in chunks.

    Raises:
        OSError: what pread(2) says.
        AbandonedError: nobody waits for the result any more.
    """
    kept = max(
        len(needle) - 1, _EXCERPT
    )  # of the chunk before: a needle may lie across, and its line's beginning
    line, offset, window = 1, 0, b""
    while chunk := read_bytes(fd, offset, CHUNK):
        offset += len(chunk)
        line += window.count(b"\n", 0, max(0, len(window) - kept))
        window = window[-kept:] + chunk
        at = window.find(needle)
        if at >= 0:
            return line + window.count(b"\n", 0, at), _excerpt(window, at)
    return None


def _excerpt(window: bytes, at: int) -> str:
    """The line around `at`, no longer than an excerpt."""
    begin = max(window.rfind(b"\n", 0, at) + 1, at - _EXCERPT // 2)
    end = window.find(b"\n", at)
    return window[begin : len(window) if end < 0 else end][:_EXCERPT].decode(errors="replace")
