"""Characters that people don't see but models read, and the few places where they have a meaning.

What is removed, and how it is counted:

    tag                 U+E0000 to E007F, an invisible copy of ASCII
    bidi                marks, embeddings, overrides and isolates that reorder what is shown
    zero_width          spaces and joiners without width, soft hyphens
    variation_selector  U+FE00 to FE0F, U+E0100 to E01EF and Mongolian's
    control             C0 without tab and line ends, DEL, C1
    invisible           fillers, invisible operators, and what else Unicode says is ignorable when shown

What stays, because it decides what is seen: a selector of emoji or text style right behind a character that
has both; a joiner between two emoji; a joiner between two letters of a script that is written with them
(Arabic, Syriac, Indic and related ones, Mongolian); the tags of the flags of England, Scotland and Wales. At
most one may stand in each of these places, so they can't carry a message. Variants of ideographs go: each
could carry a byte.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

Range = tuple[int, int]

KINDS: Final[dict[str, tuple[Range, ...]]] = {
    "tag": ((0xE0000, 0xE007F),),
    "bidi": ((0x061C, 0x061C), (0x200E, 0x200F), (0x202A, 0x202E), (0x2066, 0x2069)),
    "zero_width": (
        *((0x00AD, 0x00AD), (0x034F, 0x034F), (0x180E, 0x180E), (0x200B, 0x200D)),
        *((0x2060, 0x2060), (0xFEFF, 0xFEFF)),
    ),
    "variation_selector": ((0x180B, 0x180D), (0x180F, 0x180F), (0xFE00, 0xFE0F), (0xE0100, 0xE01EF)),
    "control": ((0x00, 0x08), (0x0B, 0x0C), (0x0E, 0x1F), (0x7F, 0x9F)),
    "invisible": (
        *((0x115F, 0x1160), (0x17B4, 0x17B5), (0x2061, 0x2065), (0x206A, 0x206F), (0x3164, 0x3164)),
        *((0xFFA0, 0xFFA0), (0xFFF0, 0xFFFB), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A)),
        *((0xE0080, 0xE00FF), (0xE01F0, 0xE0FFF)),
    ),
}

_BMP_END: Final = 0x10000
_EMOJI: Final = (
    r"\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u24c2\u25a0-\u27bf\u2900-\u297f"
    r"\u2b00-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
)
_JOINED: Final = (
    r"\u0620-\u065f\u066e-\u06d3\u06d5-\u06dc\u06df-\u06e8\u06ea-\u06ef\u06fa-\u06ff\u0710-\u07ff"
    r"\u08a0-\u08e1\u08e3-\u0dff\u1000-\u109f\u1780-\u17b3\u17b6-\u17d3\u1820-\u18aa"
)
"""Letters and marks between which a joiner decides how they are written."""


def _tags(text: str) -> str:
    return "".join(chr(0xE0000 + ord(character)) for character in text)


_FLAGS: Final = "|".join(_tags(region) + "\U000e007f" for region in ("gbeng", "gbsct", "gbwls"))
_KEPT: Final = re.compile(
    "|".join(
        (
            f"(?<=[{_EMOJI}])[\ufe0e\ufe0f]",
            "(?<=[0-9#*])\ufe0f(?=\u20e3)",
            f"(?:(?<=[{_EMOJI}])|(?<=[{_EMOJI}]\ufe0f))\u200d(?=[{_EMOJI}])",
            f"(?<=[{_JOINED}])[\u200c\u200d](?=[{_JOINED}])",
            f"(?<=\U0001f3f4)(?:{_FLAGS})",
        )
    )
)
# Each looks at characters only that stay themselves: what is kept once is kept when it is looked at again.


def _class(ranges: Iterable[Range]) -> str:
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)


_RUN: Final = re.compile(f"[{_class(it for ranges in KINDS.values() for it in ranges)}]+")
_BY_KIND: Final = {kind: re.compile(f"[{_class(ranges)}]") for kind, ranges in KINDS.items()}


def strip_hidden(text: str) -> tuple[str, Counter[str]]:
    """The text without them, and how many of each kind there were."""
    removed: list[str] = []

    def visible(run: re.Match[str]) -> str:
        left: list[str] = []
        position = run.start()
        while position < run.end():
            if kept := _KEPT.match(text, position):
                left.append(kept[0])
                position = kept.end()
            else:
                removed.append(text[position])
                position += 1
        return "".join(left)

    stripped = _RUN.sub(visible, text)
    return stripped, count_kinds("".join(removed)) if removed else Counter()


def count_kinds(hidden: str) -> Counter[str]:
    """How many of each kind a text of nothing but hidden characters has."""
    found = {kind: len(pattern.findall(hidden)) for kind, pattern in _BY_KIND.items()}
    return Counter({kind: number for kind, number in found.items() if number})


def may_hide(data: bytes) -> bool:
    """Whether JSON may hold any: wrong only by saying yes, and quick where all is plain ASCII."""
    if data.isascii() and b"\x7f" not in data:
        if b"\\" not in data:
            return False
        if b"\\u" not in data and b"\\b" not in data and b"\\f" not in data:
            return False
    return IN_JSON.search(data) is not None


def _in_utf8() -> Iterator[bytes]:
    """What hidden characters are in UTF-8; outside of the BMP, what they begin with."""
    last_bytes: dict[bytes, set[int]] = {}
    for code in _ALL:
        encoded = chr(code).encode()
        whole = 2 if code >= _BMP_END else len(encoded) - 1
        if code >= _FIRST_ESCAPED_ONLY:
            last_bytes.setdefault(encoded[:whole], set()).add(encoded[whole])
    for prefix, ends in last_bytes.items():
        yield re.escape(prefix) + b"[" + b"".join(b"\\x%02x" % it for it in sorted(ends)) + b"]"


def _in_escapes() -> bytes:
    """The same as JSON escapes, by their first digit, which decides about nearly all others."""
    digits: dict[str, dict[str, str]] = {}
    for code in _ALL:
        first, *middle, last = chr(code).encode("utf-16-be").hex()[:4]
        rest = digits.setdefault(first, {})
        rest["".join(middle)] = rest.get("".join(middle), "") + last
    choices: list[str] = []
    for first, rest in digits.items():
        ends = "|".join(f"{middle}[{last}]" for middle, last in rest.items())
        choices.append(f"[{first}{first.upper()}](?i:{ends})")
    return rf"\\(?:[bf]|u(?:{'|'.join(choices)}))".encode()


_ALL: Final = [code for ranges in KINDS.values() for it in ranges for code in range(it[0], it[1] + 1)]
_FIRST_ESCAPED_ONLY: Final = 0x7F
"""JSON allows what is before it as escapes only."""
IN_JSON: Final = re.compile(b"|".join((*_in_utf8(), _in_escapes())))
