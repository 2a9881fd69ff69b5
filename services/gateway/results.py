"""Puts the server's name into the resource URIs of a result, so that the caller can read them through us."""

from typing import Final

import msgspec

from services.gateway.messages import RawObject, decode_object, decode_objects, decode_text, encode, raw
from services.gateway.names import qualify_uri

_MENTIONS_RESOURCE: Final = b'"resource'
"""In every content item of type `resource` or `resource_link`; most results have none."""


def qualify_result(method: str, server: str, result: RawObject) -> None:
    """Rewrite `result` (of tools/call, prompts/get or resources/read); raises a decode error if malformed."""
    if method == "resources/read" and "contents" in result:
        items = decode_objects(result["contents"])
        for item in items:
            _qualify_uri_of(item, server)
        result["contents"] = raw(items)
    elif method == "tools/call" and _may_link(result.get("content")):
        result["content"] = _qualified_content(server, result["content"])
    elif method == "prompts/get" and _may_link(result.get("messages")):
        messages = decode_objects(result["messages"])
        for message in messages:
            message["content"] = _qualified_content(server, message["content"])
        result["messages"] = raw(messages)


def _may_link(value: msgspec.Raw | None) -> bool:
    return value is not None and _MENTIONS_RESOURCE in bytes(value)


def _qualified_content(server: str, content: msgspec.Raw) -> msgspec.Raw:
    """One content item, or an array of them."""
    if bytes(content).lstrip().startswith(b"["):
        items = decode_objects(content)
        for item in items:
            _qualify_item(item, server)
        return raw(items)
    item = decode_object(content)
    _qualify_item(item, server)
    return msgspec.Raw(encode(item))


def _qualify_item(item: RawObject, server: str) -> None:
    kind = decode_text(item["type"]) if "type" in item else ""
    if kind == "resource_link":
        _qualify_uri_of(item, server)
    elif kind == "resource" and "resource" in item:
        resource = decode_object(item["resource"])
        _qualify_uri_of(resource, server)
        item["resource"] = raw(resource)


def _qualify_uri_of(item: RawObject, server: str) -> None:
    if "uri" in item:
        item["uri"] = raw(qualify_uri(server, decode_text(item["uri"])))
