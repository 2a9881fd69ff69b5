"""What a request's query and body say; anything else than what an operation takes is refused."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import msgspec

from services.gateway.errors import HttpRefusal
from services.gateway.messages import DECODE_ERRORS
from services.gateway.web.operation import Parameter, WebRequest

_MAX_PARAMETERS: Final = 20


def query_of(text: bytes, known: Mapping[str, Parameter]) -> dict[str, str]:
    """The parameters, each known and there once: one that is misspelt must not widen what is done.

    Raises:
        HttpRefusal: 400.
    """
    try:
        pairs = parse_qsl(
            text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS
        )
    except ValueError:
        raise _refused("the query can't be read") from None
    found = dict(pairs)
    if unknown := sorted(found.keys() - known.keys()):
        raise _refused(f"the query has {unknown[0][:50]!r}; allowed: {', '.join(known) or 'nothing'}")
    if len(pairs) != len(found):
        raise _refused("a query parameter is there twice")
    if missing := [name for name, it in known.items() if it.required and name not in found]:
        raise _refused(f"the query lacks {missing[0]!r}")
    return found


def content_of(body: bytes, kind: Any) -> Any:  # noqa: ANN401 - of that type
    """The JSON of a body.

    Raises:
        HttpRefusal: 400.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except DECODE_ERRORS as error:
        message = f"the body isn't what is taken here: {error}"
        raise HttpRefusal(400, message, reason="body", violation=False) from None


def described(method: str, path: str, request: WebRequest) -> str:
    """What is done, for the audit stream."""
    query = f"?{urlencode(request.query)}" if request.query else ""
    content = "" if request.content is None else f" {msgspec.json.encode(request.content).decode()}"
    return f"{method} {path}{query}{content}"


def _refused(message: str) -> HttpRefusal:
    return HttpRefusal(400, message, reason="query", violation=False)
