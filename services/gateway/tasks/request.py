"""A call as it is kept: all that another gateway needs to make it. The caller's token is no part of it."""

from typing import Any

import msgspec

from services.gateway.authorization import View
from services.gateway.call import Call, Era
from services.gateway.messages import RawObject, RequestId, encode
from services.kit.tokens import Principal


class KeptCall(msgspec.Struct):
    """What is written to the table."""

    id: RequestId
    params: dict[str, msgspec.Raw]
    meta: dict[str, msgspec.Raw]
    headers: dict[str, str]
    request_id: str
    subject: str
    issuer: str
    scopes: list[str]
    claims: list[tuple[str, str]]


_decoder = msgspec.json.Decoder(KeptCall)


def kept(call: Call) -> bytes:
    """`call`, to be stored."""
    who = call.principal
    return encode(
        KeptCall(
            id=call.id,
            params=call.params,
            meta=call.meta,
            headers=call.headers,
            request_id=call.headers.get("X-Request-Id", ""),
            subject=who.subject,
            issuer=who.issuer,
            scopes=sorted(who.scopes),
            claims=sorted(who.claims),
        )
    )


def read(content: bytes) -> KeptCall:
    """What `kept` wrote."""
    return _decoder.decode(content)


def principal_of(call: KeptCall) -> Principal:
    """Who made it; that their token has expired since doesn't matter."""
    claims = frozenset((name, value) for name, value in call.claims)
    return Principal(call.subject, call.issuer, frozenset(call.scopes), float("inf"), claims)


def restored(call: KeptCall, principal: Principal, view: View, more: RawObject, seconds: float) -> Call:
    """The call, to be made by us in the name of who made it. `more` are parameters of this round."""
    params: dict[str, Any] = {**call.params, **more}
    return Call(
        id=call.id,
        method="tools/call",
        params=params,
        meta=call.meta,
        era=Era.STATELESS,
        principal=principal,
        view=view,
        headers=call.headers,
        seconds=seconds,
    )
