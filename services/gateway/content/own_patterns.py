r"""Patterns of operators: a part of regular expressions in which no text can take long.

A pattern begins with three or more letters, digits, `_` or `-`, which are looked for first. Then come
characters and classes (`[a-f0-9]`, `\d`, `\w`, `.`), each with `{n}` or, at most once, `{m,n}` or `?`. There
are no groups, alternatives, back references or repeats without a bound.
"""

import re
from typing import Final

LONGEST: Final = 256
MOST_REPEATS: Final = 256
LITERAL: Final = r"[A-Za-z0-9_-]"
RULE: Final = (
    "must begin with 3 or more letters, digits, '_' or '-'; then characters and classes, each with {n} "
    "(n up to 256) or at most once {m,n} or ?; no groups, '|', '*' or '+'"
)

_ATOM: Final = r"(?:\\[dwsDWSbB]|\\[^A-Za-z0-9]|\[\^?\]?(?:[^\[\]\\]|\\.)*\]|[^\\\[\](){}*+?|^$])"
_REPEAT: Final = r"(?:\{(?P<least>\d{1,3})(?:,(?P<most>\d{1,3}))?\}|(?P<optional>\?))"
_PART: Final = re.compile(f"{_ATOM}(?P<repeat>{_REPEAT})?")
_PREFIX: Final = re.compile(f"{LITERAL}{{3,}}")


def compile_own(pattern: str) -> tuple[re.Pattern[str], str]:
    """The expression, and the literal that it begins with.

    Raises:
        ValueError: it isn't of the form above.
    """
    prefix = _PREFIX.match(pattern)
    if prefix is None or len(pattern) > LONGEST:
        raise ValueError(RULE)
    # A repeat concerns the last character only.
    literal = prefix[0][:-1] if pattern[prefix.end() :].startswith(("{", "?")) else prefix[0]
    if len(literal) < 3 or not _is_bounded(pattern):  # noqa: PLR2004 - the number that the rule names
        raise ValueError(RULE)
    try:
        return re.compile(pattern), literal
    except (re.error, OverflowError) as error:
        raise ValueError(f"isn't a regular expression: {error}") from None


def _is_bounded(pattern: str) -> bool:
    position = variable = 0
    while position < len(pattern):
        part = _PART.match(pattern, position)
        if part is None:
            return False
        position = part.end()
        if part["optional"] or part["most"]:
            variable += 1
        if int(part["most"] or part["least"] or 0) > MOST_REPEATS:
            return False
    return variable <= 1
