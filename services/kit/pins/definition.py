"""The one spelling of a definition, and its digest.

A definition is everything that a server lists about a tool or a prompt: also fields of extensions and of
future revisions, lest one of them bring what nobody approved.
"""

import hashlib
import json
from typing import Any, NoReturn

Definition = dict[str, Any]


class MalformedDefinitionError(Exception):
    """JSON that two readers could take for different things, or no JSON at all."""


def parse_definition(data: bytes | str) -> Definition:
    """A JSON object in which every key is there once.

    Raises:
        MalformedDefinitionError: it is something else.
    """
    try:
        found = json.loads(data, object_pairs_hook=_distinct, parse_constant=_refuse)
        canonical(found)
    except (ValueError, RecursionError) as error:
        raise MalformedDefinitionError(str(error)) from None
    if not isinstance(found, dict):
        raise MalformedDefinitionError("it is no JSON object")
    return found


def canonical(content: Any) -> bytes:  # noqa: ANN401 - any JSON
    """JSON with sorted keys, no white space and nothing but ASCII; raises ValueError where it has no JSON."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def digest_of(definition: Definition) -> str:
    """SHA-256 of the definition's one spelling."""
    return hashlib.sha256(canonical(definition)).hexdigest()


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} isn't JSON")
