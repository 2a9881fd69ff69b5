"""The search as a tool: how it is described to callers, and what they may ask it."""

from typing import Any, Final

import msgspec

from services.gateway.config_search import Search
from services.gateway.errors import INVALID_PARAMS, RpcError
from services.gateway.messages import DECODE_ERRORS, RawObject, decode_object, encode
from services.gateway.search.words import words

NAME: Final = "search_tools"
"""No server's tool where names have prefixes: it has none."""

INSTRUCTIONS: Final = (
    f" The tool {NAME} finds tools by what they do, also such as lists don't show. "
    "What it finds is called like any other tool."
)

_DESCRIPTION: Final = (
    "Find tools by what they do. Returns their whole definitions, best matches first, from all tools that "
    "you may use: also from those that aren't listed. Call what it finds by its name."
)
MAX_QUERY: Final = 500
MAX_WORDS: Final = 32
"""Different ones of a query; further ones don't count."""
USUAL_RESULTS: Final = 5


class SearchError(Exception):
    """What was asked can't be searched for; the message tells the model why."""


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """The arguments."""

    query: str
    limit: int | None = None


_asked: Final = msgspec.json.Decoder(Asked)


def definition(settings: Search) -> RawObject:
    """The tool as lists show it."""
    usual = min(USUAL_RESULTS, settings.max_results)
    query = {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_QUERY,
        "description": "What the tool should do, in a few words, such as: create pull request",
    }
    limit = {
        "type": "integer",
        "minimum": 1,
        "maximum": settings.max_results,
        "default": usual,
        "description": "The most tools to return, best first",
    }
    return decode_object(
        encode(
            {
                "name": NAME,
                "title": "Search tools",
                "description": _DESCRIPTION,
                "inputSchema": {
                    "type": "object",
                    "properties": {"query": query, "limit": limit},
                    "required": ["query"],
                    "additionalProperties": False,
                },
                "outputSchema": _OUTPUT,
                "annotations": {
                    "readOnlyHint": True,
                    "destructiveHint": False,
                    "idempotentHint": True,
                    "openWorldHint": False,
                },
            }
        )
    )


_OUTPUT: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "tools": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "description": {"type": "string"},
                    "inputSchema": {"type": "object"},
                },
                "required": ["name", "inputSchema"],
            },
        },
        "missing": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "Servers whose tools couldn't be searched, and why",
        },
    },
    "required": ["tools"],
}


def read(arguments: msgspec.Raw, settings: Search) -> tuple[list[str], int]:
    """The words to look for, and how many tools to return at most.

    Raises:
        RpcError: the arguments are no object.
        SearchError: they aren't those of the search.
    """
    try:
        decode_object(arguments)
    except DECODE_ERRORS:
        raise RpcError(INVALID_PARAMS, f"{NAME}: 'arguments' must be an object") from None
    try:
        asked = _asked.decode(arguments)
    except DECODE_ERRORS as error:
        raise SearchError(f"Wrong arguments: {error}") from None
    most = settings.max_results
    limit = min(USUAL_RESULTS, most) if asked.limit is None else asked.limit
    if not 1 <= limit <= most:
        raise SearchError(f"Wrong arguments: 'limit' must be between 1 and {most}")
    if len(asked.query) > MAX_QUERY:
        raise SearchError(f"Wrong arguments: 'query' is longer than {MAX_QUERY} characters")
    found = list(dict.fromkeys(words(asked.query)))[:MAX_WORDS]
    if not found:
        raise SearchError("Wrong arguments: 'query' has no words to look for")
    return found, limit
