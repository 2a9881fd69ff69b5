"""Which names people and models take for one another."""

import unicodedata
from typing import Final

_LOOKALIKES: Final = {
    # Cyrillic
    **dict(zip("авекмнорстухіјѕԁԛԝһӏгп", "abekmhopctyxijsdqwhlrn", strict=True)),
    # Greek
    **dict(zip("αβγεζηικνορτυχω", "abyeznikvoptuxw", strict=True)),
    # Armenian, and Latin beyond ASCII
    **dict(zip("օսոհցզıſɡɩʟɴʀʏ", "ounhgqisgilnry", strict=True)),
    # Digits and letters
    **dict(zip("01", "ol", strict=True)),
    # Between words
    **dict.fromkeys("-. /:·‐‑‒–—―", "_"),  # noqa: RUF001 - dashes are meant
}


def skeleton(name: str) -> str:
    """The same for names that look the same, or differ in case, accents, forms or separators."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
    seen = "".join(
        _LOOKALIKES.get(character, character)
        for character in folded
        if unicodedata.category(character) not in {"Mn", "Me", "Cf", "Cc"}
    )
    # An "l" and an "i" differ little, and a capital one of either not at all.
    return seen.replace("i", "l").replace("rn", "m").replace("vv", "w").strip("_").replace("__", "_")
