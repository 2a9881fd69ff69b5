"""Definitions of tools as documents, each made once for all callers and as long as it stays the same."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

import msgspec

from services.gateway.messages import DECODE_ERRORS, RawObject
from services.gateway.search.bm25 import EMPTY, Document
from services.gateway.search.words import words

MAX_COUNTS: Final = 500_000
"""Of all documents that are kept, the words together: some 50 MiB, ten thousand tools of the usual size."""
MAX_WORDS: Final = 400
"""Different ones of a document; what its definition says further down isn't found."""
MAX_NODES: Final = 5000
"""Of a tool's schema."""
LONGEST_TEXT: Final = 20_000
FEW: Final = 20
"""More documents than this are made beside the event loop."""

_FIELDS: Final = ("name", "title", "description", "inputSchema")
_IN_NAME: Final = 4
_IN_TITLE: Final = 2
_PARAMETER: Final = 2
"""How often a word counts there; in a description, once."""


class Documents:
    """Keeps what it made."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[bytes, Document]] = {}
        """By a tool's qualified name: the digest of its definition, and the document."""
        self.size = 0
        """Words of all documents that are kept, the different ones of each."""
        self._making = asyncio.Lock()

    async def of(self, tools: Mapping[str, RawObject]) -> list[Document]:
        """The document of each tool."""
        digests = {name: _digest(tool) for name, tool in tools.items()}
        found = {name: self._find(name, digest) for name, digest in digests.items()}
        if None in found.values():
            async with self._making:  # many may have waited for the same
                found = {name: self._find(name, digest) for name, digest in digests.items()}
                made = await _made(
                    {name: tools[name] for name, document in found.items() if document is None}
                )
            for name, document in made.items():
                self._keep(name, digests[name], document, tools)
            found |= made
        return [document or EMPTY for document in found.values()]

    def _find(self, name: str, digest: bytes) -> Document | None:
        kept = self._kept.get(name)
        return kept[1] if kept is not None and kept[0] == digest else None

    def _keep(self, name: str, digest: bytes, document: Document, wanted: Mapping[str, RawObject]) -> None:
        """Keep a document; where there is no room, instead of such as aren't wanted now, or not at all."""
        self._drop(name)
        if self.size + len(document.counts) > MAX_COUNTS:
            for other in self._kept.keys() - wanted.keys():
                self._drop(other)
        if self.size + len(document.counts) <= MAX_COUNTS:
            self._kept[name] = digest, document
            self.size += len(document.counts)

    def _drop(self, name: str) -> None:
        if (kept := self._kept.pop(name, None)) is not None:
            self.size -= len(kept[1].counts)


async def _made(tools: Mapping[str, RawObject]) -> dict[str, Document]:
    def make() -> dict[str, Document]:
        return {name: document_of(tool) for name, tool in tools.items()}

    return make() if len(tools) <= FEW else await asyncio.to_thread(make)


def _digest(tool: RawObject) -> bytes:
    found = hashlib.sha256()
    for field in _FIELDS:
        if (value := tool.get(field)) is not None:
            found.update(value)
        found.update(b"\n")
    return found.digest()


def document_of(tool: RawObject) -> Document:
    """The words of a tool's name, title, description and parameters."""
    counts: Counter[str] = Counter()
    for text, weight in _texts(tool):
        for word in words(text[:LONGEST_TEXT]):
            if word in counts or len(counts) < MAX_WORDS:
                counts[word] += weight
    return Document(dict(counts), counts.total())


def _texts(tool: RawObject) -> Iterator[tuple[str, int]]:
    for field, weight in (("name", _IN_NAME), ("title", _IN_TITLE), ("description", 1)):
        if isinstance(text := _decoded(tool, field), str):
            yield text, weight
    yield from _of_schema(_decoded(tool, "inputSchema"))


def _of_schema(schema: object) -> Iterator[tuple[str, int]]:
    """Names and descriptions of parameters, wherever in the schema they are, outer ones first."""
    nodes = [schema]
    for place in range(MAX_NODES):
        if place == len(nodes):
            return
        node = nodes[place]
        if isinstance(node, list):
            nodes += cast("list[Any]", node)
        elif isinstance(node, dict):
            found = cast("dict[str, Any]", node)
            if isinstance(properties := found.get("properties"), dict):
                yield from ((name, _PARAMETER) for name in cast("dict[str, Any]", properties))
            if isinstance(description := found.get("description"), str):
                yield description, 1
            nodes += found.values()


def _decoded(tool: RawObject, field: str) -> object:
    """A member of a stranger's definition; None where it can't be read."""
    try:
        return msgspec.json.decode(tool[field])
    except (KeyError, *DECODE_ERRORS):
        return None
