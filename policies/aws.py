"""AWS policy documents: JSON text inside a property."""

from __future__ import annotations

import json
from typing import Any

from policies.node import ANY_ITEM, UNKNOWN, MalformedError, Node


def statements(document: Node) -> list[Node]:
    """A document's statements: none when it is absent, one unknown statement when it is unknown.

    Raises:
        MalformedError: The text is not the JSON of a policy.
    """
    path = (*document.path, "Statement")
    if document.unknown:
        return [Node(UNKNOWN, (*path, ANY_ITEM))]
    text = document.text()
    if text is None:
        return []
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise MalformedError(document, "a JSON document") from None
    listed = Node(content, document.path).key("Statement")
    return listed.items() if isinstance(listed.value, list) else [listed]


def texts(node: Node) -> list[Node]:
    """The items of a field that holds one text or a list of them."""
    if isinstance(node.value, list):
        return node.items()
    return [] if node.absent else [node]
