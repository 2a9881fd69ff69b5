"""Kubernetes quantities: `250m`, `1.5Gi`, `1e3`."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

_PATTERN: Final = re.compile(r"(?P<number>[+-]?(\d+(\.\d*)?|\.\d+))(?P<suffix>[eE][+-]?\d+|[a-zA-Z]{0,2})\Z")
_SUFFIXES: Final = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 10**3),
    "": Fraction(1),
    "k": Fraction(10**3),
    **{name: Fraction(10 ** (3 * power)) for power, name in enumerate("MGTPE", start=2)},
    **{f"{name}i": Fraction(1024**power) for power, name in enumerate("KMGTPE", start=1)},
}


def is_positive(value: object) -> bool:
    """The value is a quantity above zero."""
    amount = parse_quantity(value) if isinstance(value, str | int | float) else None
    return amount is not None and amount > 0


def parse_quantity(text: str | float) -> Fraction | None:
    """The amount in base units (cores, bytes); None when the text is not a quantity."""
    match = _PATTERN.match(str(text))
    if match is None:
        return None
    number, suffix = Fraction(match["number"]), match["suffix"]
    if len(suffix) > 1 and suffix[0] in "eE" and suffix[1:].lstrip("+-").isdigit():
        return number * Fraction(10) ** int(suffix[1:])
    factor = _SUFFIXES.get(suffix)
    return None if factor is None else number * factor
