"""Kubernetes quantities (`250m`, `256Mi`) as numbers, so that they can be compared. Pure.

Source: the API reference's "Quantity". Those forms that people write are understood; exponents are not.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

_CPU: Final = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>m?)", re.ASCII)
_BYTES: Final = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>[kMGT]|[KMGT]i)?", re.ASCII)
_UNITS: Final = {
    None: 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}
_MIB: Final = 2**20


def cpu_millis(text: str) -> int:
    """Thousandths of a core: 250 for `250m`, 1500 for `1.5`.

    Raises:
        ValueError: Not an amount of processor time.
    """
    match = _CPU.fullmatch(text)
    if match is None:
        raise ValueError("must be cores or thousandths of one, such as 2, 0.5 or 250m")
    millis = Decimal(match["number"]) * (1 if match["unit"] else 1000)
    if millis != int(millis) or millis < 1:
        raise ValueError("must be at least 1m and a whole number of thousandths")
    return int(millis)


def size_bytes(text: str) -> int:
    """Bytes: 268435456 for `256Mi`.

    Raises:
        ValueError: Not an amount of memory or storage.
    """
    match = _BYTES.fullmatch(text)
    if match is None:
        raise ValueError("must be an amount of bytes, such as 256Mi or 10Gi")
    size = Decimal(match["number"]) * _UNITS[match["unit"]]
    if size != int(size) or size < 1:
        raise ValueError("must be at least one byte and a whole number of them")
    return int(size)


def mebibytes(size: int) -> str:
    """A number of bytes as a quantity, rounded down to whole MiB: `192Mi`."""
    return f"{size // _MIB}Mi"
