"""Writes a caller's request anew for a server: in 2026-07-28, as ours, without the caller's token."""

from typing import Any, Final

import msgspec

from services.gateway.call import Call, Era
from services.gateway.eras import (
    CAPABILITIES_KEY,
    CLIENT_INFO_KEY,
    IMPLEMENTATION,
    LOG_LEVEL_KEY,
    VERSION_KEY,
)
from services.gateway.extensions import without_tasks
from services.gateway.header_value import encode_value
from services.gateway.messages import encode, raw
from services.gateway.session import capabilities_of
from services.gateway.upstream_headers import PROTOCOL_VERSION, upstream_headers
from services.gateway.upstream_question import Question

_VERSION_RAW: Final = raw(PROTOCOL_VERSION)
_IMPLEMENTATION_RAW: Final = raw(IMPLEMENTATION)
_NO_CAPABILITIES: Final = msgspec.Raw(b"{}")


def question(
    call: Call, overrides: dict[str, Any], *, name: str | None = None, without: tuple[str, ...] = ()
) -> Question:
    """The request that asks a server what `call` asks us.

    Args:
        call: the caller's request; its parameters are passed on as they came.
        overrides: parameters that read differently at the server.
        name: value for `Mcp-Name`.
        without: parameters that aren't passed on.
    """
    params: dict[str, Any] = {**call.params, **overrides, "_meta": meta_for(call)}
    for key in without:
        params.pop(key, None)
    body = encode({"jsonrpc": "2.0", "id": call.id, "method": call.method, "params": params})
    encoded = None if name is None else encode_value(name)
    return Question(
        id=call.id,
        body=body,
        headers=upstream_headers(call.method, encoded, call.headers),
        repeatable=call.method != "tools/call",
        on_event=call.on_event,
        trace=call.trace,
    )


def meta_for(call: Call) -> dict[str, msgspec.Raw]:
    """The caller's own `_meta` (trace context, progress token …), with this hop's own keys replaced.

    What the caller can do (elicitation …) is passed on, since a server's request for input reaches it
    through us. A caller of the older generation said it in `initialize`, and is asked within a stream only.
    """
    meta = {**call.meta, VERSION_KEY: _VERSION_RAW, CLIENT_INFO_KEY: _IMPLEMENTATION_RAW}
    if call.era is Era.STATELESS:
        meta[CAPABILITIES_KEY] = without_tasks(meta.get(CAPABILITIES_KEY, _NO_CAPABILITIES))
    elif call.on_event is None:
        meta[CAPABILITIES_KEY] = _NO_CAPABILITIES
    else:
        meta[CAPABILITIES_KEY] = raw(capabilities_of(call.session))
        meta[LOG_LEVEL_KEY] = raw(call.log_level)
    return meta
