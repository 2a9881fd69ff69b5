"""Puts the server's name into the resource URIs of a result, so that the caller can read them through us."""

from typing import Final

import msgspec

from services.gateway.messages import RawObject, decode_object, decode_objects, decode_text, encode, raw
from services.gateway.names import Names

_MENTIONS_RESOURCE: Final = b'"resource'
"""In every content item of type `resource` or `resource_link`; most results have none."""


class ResultQualifier:
    """Rewrites the URIs in results."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def qualify(self, method: str, server: str, result: RawObject) -> None:
        """Rewrite `result` of a call, get or read; raises a decode error where it is malformed."""
        if method == "resources/read" and "contents" in result:
            items = decode_objects(result["contents"])
            for item in items:
                self._qualify_uri_of(item, server)
            result["contents"] = raw(items)
        elif method == "tools/call" and _may_link(result.get("content")):
            result["content"] = self._qualified_content(server, result["content"])
        elif method == "prompts/get" and _may_link(result.get("messages")):
            messages = decode_objects(result["messages"])
            for message in messages:
                if "content" in message:
                    message["content"] = self._qualified_content(server, message["content"])
            result["messages"] = raw(messages)

    def _qualified_content(self, server: str, content: msgspec.Raw) -> msgspec.Raw:
        """One content item, or an array of them."""
        if bytes(content).lstrip().startswith(b"["):
            items = decode_objects(content)
            for item in items:
                self._qualify_item(item, server)
            return raw(items)
        item = decode_object(content)
        self._qualify_item(item, server)
        return msgspec.Raw(encode(item))

    def _qualify_item(self, item: RawObject, server: str) -> None:
        kind = decode_text(item["type"]) if "type" in item else ""
        if kind == "resource_link":
            self._qualify_uri_of(item, server)
        elif kind == "resource" and "resource" in item:
            resource = decode_object(item["resource"])
            self._qualify_uri_of(resource, server)
            item["resource"] = raw(resource)

    def _qualify_uri_of(self, item: RawObject, server: str) -> None:
        if "uri" in item:
            item["uri"] = raw(self._names.qualify_uri(server, decode_text(item["uri"])))


def _may_link(value: msgspec.Raw | None) -> bool:
    return value is not None and _MENTIONS_RESOURCE in bytes(value)
