"""Refusals of everything that isn't MCP, as problem documents (RFC 9457)."""

from http import HTTPStatus
from typing import Final

import msgspec

from services.gateway.errors import HttpRefusal
from services.gateway.web.operation import Reply

PROBLEM: Final = b"application/problem+json"


class Problem(msgspec.Struct):
    """What went wrong, as a client gets it."""

    status: int
    title: str
    """The status in words."""
    detail: str
    reason: str
    """A word for programs, the same that metrics and logs have."""


def problem(refusal: HttpRefusal) -> Reply:
    """The answer that says why a request is refused."""
    title = HTTPStatus(refusal.status).phrase
    content = Problem(refusal.status, title, refusal.message, refusal.reason)
    return Reply(refusal.status, msgspec.json.encode(content), PROBLEM, refusal.headers)
