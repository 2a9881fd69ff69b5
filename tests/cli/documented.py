"""The mcpctl command lines that documents tell readers to type."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"^(?P<indent> *)```sh\n(?P<body>.*?)^ *```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`(mcpctl [^`]+)`(?!`)")
_ALTERNATIVES = re.compile(r"[a-z]+(?:\|[a-z]+)+")
_END = {"&&", "||", "|", ";", ">", ">>", "<", "2>"}


@dataclass(frozen=True)
class Documented:
    """A command line and where it is written. `whole`: it is in a block, so it is typed as it stands."""

    file: str
    line: int
    words: tuple[str, ...]
    whole: bool

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: mcpctl {' '.join(self.words)}"


def documents() -> list[Path]:
    """Everything that people read."""
    return [*sorted(REPOSITORY.glob("*.md")), *sorted((REPOSITORY / "docs").rglob("*.md"))]


def commands(text: str, file: str = "") -> Iterator[Documented]:
    """The commands in blocks, then those within sentences."""
    for block in _BLOCK.finditer(text):
        first = text.count("\n", 0, block.start("body")) + 1
        body = block["body"].replace("\\\n", " \0")  # one line, but counted as two
        number = first
        for line in body.split("\n"):
            for words in _typed(line.replace("\0", "")):
                yield Documented(file, number, words, whole=True)
            number += 1 + line.count("\0")
    prose = _BLOCK.sub(lambda block: "\n" * block[0].count("\n"), text)
    for match in _INLINE.finditer(prose):
        number = prose.count("\n", 0, match.start()) + 1
        for words in _variants(match[1]):
            yield Documented(file, number, words, whole=False)


def _typed(line: str) -> Iterator[tuple[str, ...]]:
    """What a shell would run of a line, as far as it is mcpctl."""
    if "mcpctl" not in line:
        return
    words = shlex.split(line.replace("$(", " ").replace(")", " "), comments=True)
    while "mcpctl" in words:
        words = words[words.index("mcpctl") + 1 :]
        length = next((number for number, word in enumerate(words) if word in _END), len(words))
        yield tuple(words[:length])


def _variants(text: str) -> Iterator[tuple[str, ...]]:
    """`policy list|explain [--json]` as each of the commands that it stands for, with all of its options."""
    (words,) = _typed(re.sub(r"\bN\b", "1", text.replace("[", " ").replace("]", " ")))
    several = next((word for word in words if _ALTERNATIVES.fullmatch(word)), None)
    if several is None:
        yield words
        return
    for name in several.split("|"):
        yield tuple(name if word == several else word for word in words)
