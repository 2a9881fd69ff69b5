"""Under which key an answer is kept: a digest of all that it may depend on.

- what the gateway makes of answers: its own release, how it names things, what it takes out of texts;
- the server, its release, and which purge was the last;
- what is asked: method, name, and arguments in their canonical form;
- what the server is told besides: the caller's capabilities, `_meta` of its own, and the headers that repeat
  parameters. So a request whose headers differ from its arguments never finds the answer to one whose agree,
  and is refused by the server;
- unless everybody may have it: who asks, with all their scopes and groups, so that another role is another
  key.
"""

import hashlib
from functools import lru_cache
from typing import Final

import msgspec

from services.gateway.call import Call
from services.gateway.eras import CLIENT_INFO_KEY, LOG_LEVEL_KEY, VERSION_KEY
from services.gateway.messages import DECODE_ERRORS, encode
from services.gateway.questions import meta_for
from services.kit.tokens import Principal

FORMAT: Final = 1
"""Raised when what is kept, or what keys mean, changes: replicas of two releases share a Redis."""

MAX_ARGUMENT_BYTES: Final = 64 * 1024
"""Larger arguments are passed on as they are."""

_PARAMETER_HEADER: Final = "mcp-param-"
_WITHOUT_EFFECT: Final = frozenset(
    {"progressToken", "traceparent", "tracestate", "baggage", VERSION_KEY, CLIENT_INFO_KEY, LOG_LEVEL_KEY}
)
"""Keys of `_meta` that say how a request is followed, not what is asked."""

_canonical: Final = msgspec.json.Encoder(order="deterministic").encode


def canonical(arguments: msgspec.Raw) -> msgspec.Raw | None:
    """The one way to write these arguments; None where there is none, or they are large.

    Keys are sorted, of equal keys the last counts, there is no white space, text is plain UTF-8, and a number
    is written the shortest way that reads as the same double; integers stay apart from fractions (1, 1.0).
    """
    if len(bytes(arguments)) > MAX_ARGUMENT_BYTES:
        return None
    try:
        return msgspec.Raw(_canonical(msgspec.json.decode(arguments)))
    except DECODE_ERRORS:
        return None


def circumstances(call: Call) -> list[object]:
    """What the server learns with a request besides what is asked."""
    meta = sorted((key, value) for key, value in meta_for(call).items() if key not in _WITHOUT_EFFECT)
    headers = sorted(item for item in call.headers.items() if item[0].startswith(_PARAMETER_HEADER))
    return [meta, headers]


def owner_of(call: Call) -> str:
    """Whose a private answer is: the caller, with what they may do now."""
    return _owner(call.principal, call.view.groups)


@lru_cache(maxsize=4096)
def _owner(principal: Principal, groups: frozenset[str]) -> str:
    rights = sorted(principal.scopes), sorted(principal.claims), sorted(groups)
    # Python's own notation: unambiguous, also for what isn't Unicode text.
    return hashlib.sha256(repr((principal.issuer, principal.subject, *rights)).encode()).hexdigest()


def digest(*parts: object) -> bytes:
    """The key of `parts`, which must be JSON."""
    return hashlib.sha256(encode([FORMAT, *parts])).digest()
