"""The MCP endpoint in the document's terms: its envelope and headers; the methods are described by MCP."""

from typing import Any, Final, Literal

import msgspec

from services.gateway.web.openapi.pages import SECURITY
from services.gateway.web.openapi.responses import (
    GUARDED,
    JSON_TYPE,
    WITH_BODY,
    answered,
    head_too_large,
    refused,
)
from services.gateway.web.openapi.schemas import Schema, Schemas

STREAM_TYPE: Final = "text/event-stream"


class JsonRpcRequest(msgspec.Struct):
    """A request; without `id`, a notification."""

    jsonrpc: Literal["2.0"]
    method: str
    id: int | str | msgspec.UnsetType = msgspec.UNSET
    params: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class JsonRpcAnswer(msgspec.Struct):
    """A client's answer to a question of a server (2025-11-25)."""

    jsonrpc: Literal["2.0"]
    id: int | str
    result: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    error: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class JsonRpcResult(msgspec.Struct):
    """What a method answers."""

    jsonrpc: Literal["2.0"]
    id: int | str
    result: dict[str, Any]


class JsonRpcProblem(msgspec.Struct):
    """What went wrong."""

    code: int
    message: str
    data: Any = None


class JsonRpcError(msgspec.Struct):
    """A refusal, or the error that a method ended with."""

    jsonrpc: Literal["2.0"]
    id: int | str | None
    """Null where it couldn't be read."""
    error: JsonRpcProblem


_HEADERS: Final = {
    "MCP-Protocol-Version": "The revision; any before 2026-07-28, or none, is taken for 2025-11-25",
    "Mcp-Method": "Since 2026-07-28: the body's method",
    "Mcp-Name": "Since 2026-07-28: the name or URI that the body's method is about",
    "Mcp-Session-Id": "2025-11-25: what `initialize` answered, if anything",
    "X-Request-Id": "An id for the log, of letters, digits, `.`, `_` and `-`",
}


def path_item(schemas: Schemas) -> dict[str, Any]:
    """The path's methods."""
    return {"post": _post(schemas), "get": _stream(schemas), "delete": _unserved("delete", schemas)}


def _post(schemas: Schemas) -> dict[str, Any]:
    error = schemas.of(JsonRpcError)
    either: Schema = {"oneOf": [schemas.of(JsonRpcResult), error]}
    body: Schema = {"anyOf": [schemas.of(JsonRpcRequest), schemas.of(JsonRpcAnswer)]}
    statuses = (*GUARDED, *WITH_BODY, 404, 406)
    responses = {status: refused(status, error, JSON_TYPE) for status in statuses}
    responses[200] = answered(
        "The method's result or error; as a stream of events where the server sends any before",
        {JSON_TYPE: either, STREAM_TYPE: {"type": "string"}},
    )
    responses[202] = {"description": "A notification, or an answer of the client's, was taken"}
    responses[404] = refused(404, error, JSON_TYPE, why="There is no such method")
    responses[431] = {**head_too_large(), "content": {JSON_TYPE: {"schema": error}}}
    return {
        "operationId": "mcp",
        "summary": "One request of the Model Context Protocol; there are no sessions",
        "tags": ["mcp"],
        "parameters": [
            {"name": name, "in": "header", "description": it, "schema": {"type": "string"}}
            for name, it in _HEADERS.items()
        ],
        "requestBody": {"required": True, "content": {JSON_TYPE: {"schema": body}}},
        "responses": {str(status): it for status, it in sorted(responses.items())},
        "security": [{SECURITY: []}],
    }


def _stream(schemas: Schemas) -> dict[str, Any]:
    """Its header is no parameter here: tools that try what is described would wait for the stream's end."""
    error = schemas.of(JsonRpcError)
    responses = {status: refused(status, error, JSON_TYPE) for status in GUARDED}
    responses[200] = answered("Notifications, until the token expires", {STREAM_TYPE: {"type": "string"}})
    responses[405] = refused(405, error, JSON_TYPE, why="There is no session, or no streams are offered")
    return {
        "operationId": "mcpStream",
        "summary": "What changes, for clients of 2025-11-25 that send the Mcp-Session-Id and a token",
        "tags": ["mcp"],
        "responses": {str(status): it for status, it in sorted(responses.items())},
        "security": [],
    }


def _unserved(method: str, schemas: Schemas) -> dict[str, Any]:
    return {
        "operationId": f"mcp_{method}",
        "summary": "Nothing is kept of a session that would have to be ended",
        "tags": ["mcp"],
        "responses": {"405": refused(405, schemas.of(JsonRpcError), JSON_TYPE)},
        "security": [],
    }
