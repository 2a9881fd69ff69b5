"""Secrets by what they look like: which there are, and finding and marking them in a text.

Every pattern takes time that grows with the text only, whatever the text is: none repeats what repeats.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

_BASE64: Final = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_SHORTEST_BLOB: Final = 64
_LEAST_ENTROPY: Final = 3.5
"""Bits a character; English words have less, random letters and digits more."""


def _always(_secret: str) -> bool:
    return True


def _is_random(secret: str) -> bool:
    shares = [number / len(secret) for number in Counter(secret).values()]
    return -sum(share * math.log2(share) for share in shares) >= _LEAST_ENTROPY


@dataclass(frozen=True, slots=True)
class Pattern:
    """What one kind of secret looks like."""

    kind: str
    expression: re.Pattern[str]
    """Group `secret` is what is marked, where only a part of the match is."""
    hints: tuple[bytes, ...]
    """One of these is in every JSON that holds one, unless characters are escaped that needn't be."""
    holds: Callable[[str], bool] = _always
    """Whether it is one after all."""


def _pattern(kind: str, expression: str, *hints: str, holds: Callable[[str], bool] = _always) -> Pattern:
    return Pattern(kind, re.compile(expression), tuple(hint.encode() for hint in hints), holds)


_WORD: Final = r"(?<![A-Za-z0-9])"
_END: Final = r"(?![A-Za-z0-9])"
_LABEL: Final = r"[A-Z0-9 ]{0,40}"

BUILT_IN: Final = {
    it.kind: it
    for it in (
        _pattern("aws-access-key", rf"{_WORD}(?:AKIA|ASIA)[A-Z0-9]{{16}}{_END}", "AKIA", "ASIA"),
        _pattern(
            "aws-secret-key",
            r"(?i:aws_?secret_?(?:access_?)?key|secret_?access_?key)[\"'\\ \t]{0,8}[:=][\"'\\ \t]{0,8}"
            r"(?P<secret>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
            *("_secret", "_SECRET", "awsSecret", "AwsSecret", "ecretAccessKey", "ecret_access_key"),
        ),
        _pattern(
            "github-token",
            rf"{_WORD}(?:gh[pousr]_[A-Za-z0-9]{{36,255}}+|github_pat_[A-Za-z0-9_]{{22,255}}+)",
            *("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        ),
        _pattern(
            "private-key",
            rf"-----BEGIN {_LABEL}PRIVATE KEY(?: BLOCK)?-----"
            rf"(?:(?:[^-]++|-(?!----))*+-----END {_LABEL}-----|[A-Za-z0-9+/=\s\\]*+)",
            "PRIVATE KEY",
        ),
        _pattern(
            "jwt",
            r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{10,4096}+\.eyJ[A-Za-z0-9_-]{10,16384}+\.[A-Za-z0-9_-]{20,4096}+",
            "eyJ",
        ),
        _pattern(
            "slack-token",
            rf"{_WORD}(?:xox[abeoprs]-[A-Za-z0-9-]{{10,250}}|xapp-\d-[A-Za-z0-9-]{{10,250}})",
            *("xox", "xapp-"),
        ),
        _pattern(
            "slack-webhook",
            r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<secret>[A-Za-z0-9/]{20,200})",
            "hooks.slack.com",
        ),
        _pattern("google-api-key", rf"{_WORD}AIza[A-Za-z0-9_-]{{35}}(?![A-Za-z0-9_-])", "AIza"),
        _pattern(
            "assignment",
            r"(?i:passw(?:or)?d|secret|token|api[_-]?key|access[_-]?key|credential)[A-Za-z0-9_-]{0,20}"
            r"[\"'\\ \t]{0,8}[:=][\"'\\ \t]{0,8}(?P<secret>[A-Za-z0-9+/=_.~-]{16,256})",
            *("pass", "Pass", "PASS", "secret", "Secret", "SECRET", "token", "Token", "TOKEN"),
            *("key", "Key", "KEY", "redential", "REDENTIAL"),
            holds=_is_random,
        ),
    )
}
DEFAULTS: Final = tuple(kind for kind in BUILT_IN if kind != "assignment")
"""An assignment of something random need not be a secret: a digest, say."""

_ESCAPED_ASCII: Final = rb"\\u00[2-7]"
"""A letter that is escaped without need could hide a hint."""


class Searcher:
    """Finds secrets of several kinds."""

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        self._patterns = tuple(patterns)
        self._hints = tuple(dict.fromkeys(hint for it in self._patterns for hint in it.hints))
        self.in_json = re.compile(b"|".join((*map(re.escape, self._hints), _ESCAPED_ASCII)))
        """Matches within every JSON string that may hold one."""

    def may_find(self, data: bytes) -> bool:
        """Whether JSON may hold any: wrong only by saying yes."""
        return any(hint in data for hint in self._hints) or b"\\u00" in data

    def redact(self, text: str) -> tuple[str, Counter[str]]:
        """The text with marks in the secrets' places, and how many there were of each kind."""
        found: Counter[str] = Counter()
        if len(text) >= _SHORTEST_BLOB and _BASE64.fullmatch(text):
            return text, found  # a file or an image; what looks like a secret in it is chance
        for pattern in self._patterns:
            text = _mark(pattern, text, found)
        return text, found


def _mark(pattern: Pattern, text: str, counts: Counter[str]) -> str:
    part = "secret" if "secret" in pattern.expression.groupindex else 0

    def marked(found: re.Match[str]) -> str:
        secret = found[part]
        if not pattern.holds(secret):
            return found[0]
        counts[pattern.kind] += 1
        whole, before = found[0], found.start(part) - found.start()
        return f"{whole[:before]}[redacted:{pattern.kind}]{whole[before + len(secret) :]}"

    return pattern.expression.sub(marked, text)
