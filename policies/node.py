"""A cursor over plain data that knows its JSON path and never loses track of an unknown.

Kubernetes treats null like an absent field, and so does `Node`. An unknown value is contagious: every field
and item below it is unknown too, so a rule can't take what only a deployment can tell for an absent value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

Path = tuple[str | int, ...]

_PLAIN_KEY: Final = re.compile(r"[A-Za-z_$][\w$-]*\Z")
ANY_ITEM: Final = "*"
"""Path segment for the items of a list, or the keys of a mapping, that is itself unknown."""


class Unknown:
    """The one value that stands for what only a deployment can tell (`UNKNOWN`)."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __reduce__(self) -> str:
        return "UNKNOWN"  # copies and pickles are the one value too


UNKNOWN: Final = Unknown()


class Secret:
    """A value that was marked secret where it was declared; `repr` hides it."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:  # noqa: ANN401 - a secret can be any JSON value
        self.value = value

    def __repr__(self) -> str:
        return "Secret(…)"


class MalformedError(Exception):
    """A field has another type than Kubernetes gives it.

    Attributes:
        node: The field.
        expected: What belongs there: "a list", "an object", "a whole number".
    """

    def __init__(self, node: Node, expected: str) -> None:
        super().__init__(f"{node.json_path} must be {expected}, not {type(node.value).__name__}")
        self.node = node
        self.expected = expected


class Node:
    """A value inside an object: `.value` (None when absent), `.path`, and whether it is (within) a secret."""

    __slots__ = ("path", "secret", "value")

    def __init__(self, value: Any, path: Path = (), *, secret: bool = False) -> None:  # noqa: ANN401 - any JSON value
        while isinstance(value, Secret):
            value = value.value
            secret = True
        self.value = value
        self.path = path
        self.secret = secret

    def __repr__(self) -> str:
        return f"Node({self.json_path})"

    @property
    def absent(self) -> bool:
        """The field is not there, or null."""
        return self.value is None

    @property
    def unknown(self) -> bool:
        """The field's value can't be known yet."""
        return self.value is UNKNOWN

    @property
    def json_path(self) -> str:
        """The path in RFC 9535 notation: `$.spec.containers[0].image`."""
        return json_path(self.path)

    def key(self, name: str) -> Node:
        """The field `name`, which may hold dots.

        Raises:
            MalformedError: This value is neither an object nor absent.
        """
        path = (*self.path, name)
        if self.value is None or self.value is UNKNOWN:
            return Node(self.value, path, secret=self.secret)
        if isinstance(self.value, Mapping):
            return Node(self.value.get(name), path, secret=self.secret)
        raise MalformedError(self, "an object")

    def at(self, dotted: str) -> Node:
        """The field at `a.b.c` below this one.

        Raises:
            MalformedError: A value on the way is neither an object nor absent.
        """
        node = self
        for name in dotted.split("."):
            node = node.key(name)
        return node

    def items(self) -> list[Node]:
        """The list's items: none when absent, one unknown item when the list is unknown.

        Raises:
            MalformedError: This value is not a list.
        """
        if self.value is None:
            return []
        if self.value is UNKNOWN:
            return [Node(UNKNOWN, (*self.path, ANY_ITEM), secret=self.secret)]
        if not isinstance(self.value, list):
            raise MalformedError(self, "a list")
        return [Node(item, (*self.path, index), secret=self.secret) for index, item in enumerate(self.value)]

    def entries(self) -> list[tuple[str, Node]]:
        """The object's fields by name: none when absent, one unknown field when the object is unknown.

        Raises:
            MalformedError: This value is not an object.
        """
        if self.value is None:
            return []
        if self.value is UNKNOWN:
            return [(ANY_ITEM, Node(UNKNOWN, (*self.path, ANY_ITEM), secret=self.secret))]
        if not isinstance(self.value, Mapping):
            raise MalformedError(self, "an object")
        return [(str(name), self.key(name)) for name in self.value]

    def text(self) -> str | None:
        """The string here; None when it is absent or unknown.

        Raises:
            MalformedError: Anything else is here.
        """
        if self.value is None or self.value is UNKNOWN:
            return None
        if not isinstance(self.value, str):
            raise MalformedError(self, "a string")
        return self.value

    def integer(self) -> int | None:
        """The whole number here; None when it is absent or unknown.

        Raises:
            MalformedError: Anything else is here.
        """
        if self.value is None or self.value is UNKNOWN:
            return None
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            raise MalformedError(self, "a whole number")
        return self.value


def json_path(path: Path) -> str:
    """`("metadata", "annotations", "a/b", 0)` as `$.metadata.annotations['a/b'][0]`."""
    parts = ["$"]
    for segment in path:
        if isinstance(segment, int):
            parts.append(f"[{segment}]")
        elif segment == ANY_ITEM:
            parts.append("[*]")
        elif _PLAIN_KEY.match(segment):
            parts.append(f".{segment}")
        else:
            parts.append("['" + segment.replace("\\", "\\\\").replace("'", "\\'") + "']")
    return "".join(parts)


def first_present(*nodes: Node) -> Node:
    """The first node that is not absent, else the last: a container's field before its pod's."""
    return next((node for node in nodes if not node.absent), nodes[-1])
