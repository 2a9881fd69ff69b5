"""Okapi BM25: which documents are about some words, best first.

All statistics are those of the documents that are given: one that a caller may not see isn't among them, and
so can't change the order of the others.
"""

import heapq
import math
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

K1: Final = 1.2
"""How soon more of the same word counts for nothing more."""
B: Final = 0.75
"""How much a long document must have more of it."""


class Document(NamedTuple):
    """A text as what is counted in it."""

    counts: dict[str, int]
    """How often each word is there; a word in a more important place counts several times."""
    length: int
    """The sum of all."""


EMPTY: Final = Document({}, 0)


def best(documents: Sequence[Document], words: Iterable[str], limit: int) -> list[int]:
    """The places of at most `limit` documents with any of the words; of equals, the first is first."""
    found = scores(documents, words)
    return heapq.nsmallest(limit, found, key=lambda place: (-found[place], place))


def scores(documents: Sequence[Document], words: Iterable[str]) -> dict[int, float]:
    """How much each document is about the words, by its place; without those that have none of them."""
    mean = sum(document.length for document in documents) / max(len(documents), 1)
    total: dict[int, float] = {}
    for word in words:
        found = [(place, count) for place, it in enumerate(documents) if (count := it.counts.get(word))]
        rarity = math.log(1 + (len(documents) - len(found) + 0.5) / (len(found) + 0.5))
        for place, count in found:
            stretch = K1 * (1 - B + B * documents[place].length / mean)
            total[place] = total.get(place, 0.0) + rarity * count * (K1 + 1) / (count + stretch)
    return total
