"""Answers in the document's terms."""

from collections.abc import Mapping
from typing import Any, Final

from services.gateway.web.openapi.schemas import Schema

JSON_TYPE: Final = "application/json"
PROBLEM_TYPE: Final = "application/problem+json"

Response = dict[str, Any]

_HEADERS: Final[Mapping[int, dict[str, str]]] = {
    401: {"WWW-Authenticate": "How to get a token (RFC 6750, RFC 9728)"},
    403: {"WWW-Authenticate": "Where scopes are missing: which (RFC 6750)"},
    405: {"Allow": "The methods that are served"},
    429: {"Retry-After": "Seconds"},
    503: {"Retry-After": "Seconds, where it is known when to try again"},
}
_REFUSALS: Final[Mapping[int, str]] = {
    400: "The request isn't well-formed",
    401: "The token is missing, or proves nothing here",
    403: "The token lacks a scope, or the Origin isn't allowed",
    404: "Not found",
    405: "The method isn't served",
    406: "No type of answer is accepted that there is",
    408: "The body came too slowly",
    413: "The body is too large",
    415: "The body isn't plain JSON",
    421: "The Host isn't served here",
    429: "Too many requests",
    431: "The request's head, or what of it goes on to a server, is too large",
    500: "A defect of the gateway",
    503: "Not now: overload, the end, or without what is needed: keys, Redis, room for the audit record",
    504: "The request as a whole took too long; what was asked may have been carried out",
}
GUARDED: Final = (400, 401, 403, 421, 429, 500, 503, 504)
"""What may become of a request that needs a token."""
WITH_BODY: Final = (408, 413, 415)


def answered(description: str, media: Mapping[str, Schema]) -> Response:
    """An answer with a body of one of these types."""
    content = {kind: {"schema": schema} for kind, schema in media.items()}
    return {"description": description, "headers": _headers({}), "content": content}


def refused(status: int, schema: Schema, media: str = PROBLEM_TYPE, *, why: str | None = None) -> Response:
    """A refusal."""
    return {
        "description": why or _REFUSALS[status],
        "headers": _headers(_HEADERS.get(status, {})),
        "content": {media: {"schema": schema}},
    }


def head_too_large() -> Response:
    """What the HTTP server itself answers, without a body."""
    return {"description": _REFUSALS[431]}


def _headers(more: Mapping[str, str]) -> dict[str, Any]:
    described = {"X-Request-Id": "The id under which the request is logged", **more}
    return {name: {"description": it, "schema": {"type": "string"}} for name, it in described.items()}
