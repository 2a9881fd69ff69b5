"""Words as they are compared: parts of compound names, in lower case, without English endings."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

LONGEST_WORD: Final = 64
"""What is longer is no word, but data."""

_RUN: Final = re.compile(r"[^\W_]+")
_PART: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SHORTEST_STEM: Final = 4


def words(text: str) -> Iterator[str]:
    """`createPod`, `create-pod` and `create_pod` have `create` and `pod`; the first has `createpod`, too."""
    for run in _RUN.findall(text):
        if len(run) > LONGEST_WORD:
            continue
        whole = run.casefold()
        yield stem(whole)
        if whole != run or not run.isalpha():
            parts = _PART.findall(run) if run.isascii() else []
            if len(parts) > 1:
                yield from (stem(part.casefold()) for part in parts)


@lru_cache(maxsize=8192)
def stem(word: str) -> str:
    """What the forms of an English word have in common, roughly: the same word is all that it must give.

    A vowel too few does no harm (`file` and `files` are both `fil`), so a few endings are enough.
    """
    if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) >= _SHORTEST_STEM:
        word = word[:-1]
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST_STEM:
            word = word.removesuffix(ending)
    if word.endswith("ie"):
        return word[:-2] + "y"
    return word.removesuffix("e") if len(word) >= _SHORTEST_STEM else word
