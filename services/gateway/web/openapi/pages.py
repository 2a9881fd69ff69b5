"""The operations of the routing table in the document's terms."""

import re
from typing import Any, Final

from services.gateway.web.openapi.responses import (
    GUARDED,
    JSON_TYPE,
    WITH_BODY,
    Response,
    answered,
    head_too_large,
    refused,
)
from services.gateway.web.openapi.schemas import Schemas
from services.gateway.web.operation import Operation
from services.gateway.web.problems import Problem

SECURITY: Final = "token"

_NAMED: Final = re.compile(r"\{(\w+)\}")
_WORDS: Final = re.compile(r"\W+")


def described(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    """The operation object."""
    found: dict[str, Any] = {
        "operationId": _WORDS.sub("_", f"{operation.method.lower()}{operation.path}").rstrip("_"),
        "summary": operation.summary,
        "tags": ["admin" if operation.path.startswith("/admin/") else "reading"],
        "parameters": _parameters(operation),
        "responses": {str(status): it for status, it in sorted(_responses(operation, schemas).items())},
        "security": [] if operation.scope is None else [{SECURITY: [operation.scope]}],
    }
    if operation.takes is not None:
        content = {JSON_TYPE: {"schema": schemas.of(operation.takes)}}
        found["requestBody"] = {"required": True, "content": content}
    return found


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    text = {"type": "string"}
    path = [
        {"name": name, "in": "path", "required": True, "schema": {**text, "minLength": 1}}
        for name in _NAMED.findall(operation.path)
    ]
    query = [
        {
            "name": name,
            "in": "query",
            "required": it.required,
            "description": it.meaning,
            "schema": {**text, "enum": list(it.values)} if it.values else text,
        }
        for name, it in operation.query.items()
    ]
    return path + query


def _responses(operation: Operation, schemas: Schemas) -> dict[int, Response]:
    problem = schemas.of(Problem)
    media = {operation.media: schemas.of(operation.returns)}
    guarded = (500,) if operation.scope is None else GUARDED
    statuses = guarded if operation.takes is None else (*guarded, *WITH_BODY)
    found = {status: refused(status, problem) for status in statuses}
    found |= {status: refused(status, problem, why=why) for status, why in operation.refusals.items()}
    found |= {status: answered(why, media) for status, why in operation.answers.items()}
    return found | {200: answered("Done", media), 431: head_too_large()}
