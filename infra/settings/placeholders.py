"""Values of the repository's `Pulumi.prod.yaml` that can be nobody's: they stand for the user's own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from infra.settings.problems import line

HINT: Final = "docs/guides/production.md, step 5, says where each is from."

_NOBODYS: Final = re.compile(
    r"\bexample\.(com|net|org)\b|\.(example|invalid)(?![\w.-])"  # RFC 2606
    r"|\b(123456789012|111122223333|444455556666|000000000000)\b"  # the accounts of AWS's documentation
    r"|sha256:0{64}"
    r"|7wc27bFJO0UFZhPnd5hvH5YBdNZXN6"
)
"""The last is of the public key whose private half is gone."""


def placeholders(settings: Mapping[str, Any]) -> list[str]:
    """The keys of plain settings whose values stand for something of the user's, dotted and sorted."""
    return sorted(_found("", settings))


def lines(stack: str, keys: Sequence[str]) -> str:
    """One line for each, in the form that all problems of settings have."""
    return "\n".join(line(stack, key, "", "still has the example's value; replace it") for key in keys)


def warning(stack: str, keys: Sequence[str]) -> str:
    """The same in one line."""
    return f"stack {stack}: these settings still have the example's values: {', '.join(keys)}. {HINT}"


def _found(place: str, value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _found(f"{place}.{key}" if place else str(key), item)
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _found(f"{place}[{number}]", item)
    # PEM has its lines broken anywhere.
    elif isinstance(value, str) and _NOBODYS.search("".join(value.split())):
        yield place
