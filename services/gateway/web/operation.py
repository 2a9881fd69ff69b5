"""What one path does for one method: who may use it, what answers it, and what its document says."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from services.gateway.authorization import RuleView, View
from services.kit.asgi import JSON, Headers
from services.kit.tokens import Principal

NOBODY: Final = Principal("", "", frozenset(), 0.0)
"""Who asks where no token is looked at."""
NOTHING: Final[View] = RuleView((), frozenset())
"""What there is for them."""


@dataclass(frozen=True, slots=True)
class WebRequest:
    """A request that was let in."""

    principal: Principal
    view: View
    path: Mapping[str, str]
    """What stands in the place of the path's `{names}`."""
    query: Mapping[str, str]
    content: Any = None
    """The body, of the operation's type."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that isn't just JSON with status 200."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Parameter:
    """One of the query's."""

    meaning: str
    required: bool = False
    values: tuple[str, ...] = ()
    """What it may be; anything where it is empty."""


Handler = Callable[[WebRequest], Awaitable[Any]]
"""Gives a `Reply`, or anything that JSON can hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One row of the routing table."""

    path: str
    """A segment may be a `{name}`."""
    method: str = "GET"
    answer: Handler
    scope: str | None
    """What the token must allow; None: anybody may ask, without a token."""
    summary: str
    returns: Any
    """The type of what it gives."""
    media: str = "application/json"
    answers: Mapping[int, str] = field(default_factory=dict[int, str])
    """Statuses, besides 200, of answers of that type, and what they mean."""
    refusals: Mapping[int, str] = field(default_factory=dict[int, str])
    """Statuses of its own refusals, and what they mean; those of any operation go without saying."""
    query: Mapping[str, Parameter] = field(default_factory=dict[str, Parameter])
    """The parameters that it takes."""
    takes: Any = None
    """The type of the JSON that it takes; None for no body."""
