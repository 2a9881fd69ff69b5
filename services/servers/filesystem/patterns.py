"""Glob patterns, matched in time that grows with pattern and path, never exponentially."""

import fnmatch
import re
from typing import Final

MAX_PATTERN: Final = 1000
"""Characters."""

_ANY_DEPTH: Final = "**"


class Pattern:
    """A glob such as `*.py` (names at any depth) or `src/**/test_*.py` (from the search's start).

    `*`, `?` and `[…]` match within one name; `**` as a whole component matches any number of directories.
    """

    def __init__(self, text: str) -> None:
        """Compile `text`.

        Raises:
            ValueError: it is empty or longer than `MAX_PATTERN`.
        """
        if not 0 < len(text) <= MAX_PATTERN:
            raise ValueError(f"the pattern must have 1 to {MAX_PATTERN} characters")
        components = [part for part in text.split("/") if part]
        if "/" not in text:
            components.insert(0, _ANY_DEPTH)
        self._components = [
            None if part == _ANY_DEPTH else re.compile(fnmatch.translate(part)) for part in components
        ]

    def matches(self, parts: tuple[str, ...]) -> bool:
        """Whether the pattern covers the whole path."""
        # reached[i]: the first i components of the pattern can cover the names read so far
        reached = self._skip_any_depth([True] + [False] * len(self._components))
        for name in parts:
            step = [False] * len(reached)
            for index, component in enumerate(self._components):
                if component is None:
                    step[index + 1] = reached[index + 1]  # `**` takes one more name
                elif reached[index] and component.match(name):
                    step[index + 1] = True
            reached = self._skip_any_depth(step)
        return reached[-1]

    def _skip_any_depth(self, reached: list[bool]) -> list[bool]:
        """Let every `**` match nothing."""
        for index, component in enumerate(self._components):
            if component is None and reached[index]:
                reached[index + 1] = True
        return reached
