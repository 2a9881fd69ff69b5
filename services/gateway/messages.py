"""JSON-RPC on the wire: what is decoded of it, and how it is written.

Only the envelope and the first level of `params` and `result` are decoded; everything below stays the bytes
that came in (`msgspec.Raw`), so that a large argument or result is neither parsed twice nor changed.
"""

import contextlib
from typing import Any, Final, Literal, TypeAlias

import msgspec

from services.gateway.errors import INVALID_REQUEST, PARSE_ERROR, RpcError

RawObject: TypeAlias = dict[str, msgspec.Raw]
"""A JSON object whose values aren't decoded."""

RequestId: TypeAlias = int | str


class Request(msgspec.Struct):
    """A request, or a notification where `id` is absent."""

    jsonrpc: Literal["2.0"]
    method: str
    id: RequestId | msgspec.UnsetType = msgspec.UNSET
    params: RawObject | msgspec.UnsetType = msgspec.UNSET


class ErrorObject(msgspec.Struct, omit_defaults=True):
    """The `error` of a response."""

    code: int
    message: str
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Incoming(msgspec.Struct):
    """Anything that a server may send: a response, or (within a stream) a notification."""

    jsonrpc: Literal["2.0"]
    id: RequestId | None = None
    method: str | None = None
    result: RawObject | msgspec.UnsetType = msgspec.UNSET
    error: ErrorObject | msgspec.UnsetType = msgspec.UNSET


_request_decoder: Final = msgspec.json.Decoder(Request)
_incoming_decoder: Final = msgspec.json.Decoder(Incoming)
_object_decoder: Final = msgspec.json.Decoder(RawObject)
_array_decoder: Final = msgspec.json.Decoder(list[RawObject])
_text_decoder: Final = msgspec.json.Decoder(str)
encode: Final = msgspec.json.Encoder().encode

DECODE_ERRORS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError)
"""What decoding bytes of a stranger may raise."""


def decode_request(body: bytes) -> Request:
    """One request or notification.

    Raises:
        RpcError: the body is no JSON (-32700), or JSON that is neither (-32600), like a batch.
    """
    try:
        body.decode()  # Raw values are passed on unread: make sure here that they are UTF-8
        return _request_decoder.decode(body)
    except msgspec.ValidationError as error:
        raise RpcError(INVALID_REQUEST, f"not a JSON-RPC request or notification: {error}") from None
    except DECODE_ERRORS:
        raise RpcError(PARSE_ERROR, "the body isn't valid JSON") from None


def decode_response(body: bytes) -> Incoming | None:
    """The response that a body holds; None if it holds anything else."""
    with contextlib.suppress(*DECODE_ERRORS):
        found = decode_incoming(body)
        if found.method is None and found.id is not None and (found.error or isinstance(found.result, dict)):
            return found
    return None


def decode_incoming(data: bytes) -> Incoming:
    """A message from a server; raises one of `DECODE_ERRORS` when it is none."""
    data.decode()  # as above
    return _incoming_decoder.decode(data)


def decode_object(raw: msgspec.Raw | bytes) -> RawObject:
    """The first level of a JSON object; raises one of `DECODE_ERRORS`."""
    return _object_decoder.decode(raw)


def decode_objects(raw: msgspec.Raw | bytes) -> list[RawObject]:
    """The first levels of an array of objects; raises one of `DECODE_ERRORS`."""
    return _array_decoder.decode(raw)


def decode_text(raw: msgspec.Raw | bytes) -> str:
    """A JSON string; raises one of `DECODE_ERRORS`."""
    return _text_decoder.decode(raw)


def raw(value: Any) -> msgspec.Raw:  # noqa: ANN401 - any JSON
    """`value` as JSON that goes into a `RawObject`."""
    return msgspec.Raw(encode(value))


def result_of(reply: Incoming) -> RawObject:
    """The result of a response; raises RpcError if it is an error."""
    if isinstance(reply.result, dict):
        return reply.result
    error = reply.error
    assert error  # noqa: S101 - only responses come here; this tells the type checker
    data = error.data if isinstance(error.data, msgspec.Raw) else None
    raise RpcError(error.code, error.message, data)


def result_bytes(request_id: RequestId, result: RawObject) -> bytes:
    """A successful response."""
    return encode({"jsonrpc": "2.0", "id": request_id, "result": result})


def error_bytes(request_id: RequestId | None, error: RpcError) -> bytes:
    """An error response; `request_id` is None when it couldn't be read."""
    content: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.data is not None:
        content["data"] = error.data
    return encode({"jsonrpc": "2.0", "id": request_id, "error": content})
