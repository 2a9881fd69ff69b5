"""The whole document, and the operation that gives it."""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import msgspec

from services.gateway.access import ADMIN_SCOPE, CALL_SCOPE, READ_SCOPE
from services.gateway.web.openapi import mcp, ops
from services.gateway.web.openapi.pages import SECURITY, described
from services.gateway.web.openapi.schemas import Schemas
from services.gateway.web.operation import Operation, Reply, WebRequest
from services.kit.conventions import MCP_PATH
from services.kit.version import VERSION

PATH: Final = "/openapi.json"

_DESCRIPTION: Final = """\
Everything that the gateway serves over HTTP. What isn't MCP refuses by problem documents (RFC 9457), MCP by
errors of JSON-RPC. Another method than those of a path gets 405, another path 404.
"""
_TAGS: Final = {
    "mcp": "The Model Context Protocol",
    "reading": "What can be read of the gateway",
    "admin": "What an operator may see and change",
    "operations": "Another port, for probes and Prometheus",
}


def document(pages: Sequence[Operation]) -> dict[str, Any]:
    """The document about these operations, the MCP endpoint and the operations port."""
    schemas = Schemas()
    paths: dict[str, dict[str, Any]] = {MCP_PATH: mcp.path_item(schemas)}
    for operation in pages:
        item = paths.setdefault(operation.path, {})
        item[operation.method.lower()] = described(operation, schemas)
    paths |= ops.path_items(schemas)
    return {
        "openapi": "3.1.1",
        "info": {"title": "MCP gateway", "version": VERSION, "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": it} for name, it in _TAGS.items()],
        "paths": paths,
        "components": {"schemas": schemas.components, "securitySchemes": {SECURITY: _scheme()}},
    }


def with_document(pages: Sequence[Operation]) -> list[Operation]:
    """The operations, and one more that gives the document about all of them."""

    @cache
    def encoded() -> bytes:
        return msgspec.json.encode(document(everything))

    async def answer(_request: WebRequest) -> Reply:
        return Reply(200, encoded())

    own = Operation(
        path=PATH,
        answer=answer,
        scope=None,
        summary="This document (OpenAPI 3.1)",
        returns=dict[str, Any],
    )
    everything = [*pages, own]
    return everything


def _scheme() -> dict[str, Any]:
    return {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": (
            f"A token for the gateway's audience with the scopes {READ_SCOPE} and {CALL_SCOPE}, "
            f"or for administrators {ADMIN_SCOPE}. None is needed where the gateway runs without auth."
        ),
    }
