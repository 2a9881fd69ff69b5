"""How a server's name is woven into what callers see, and out again: stateless and reversible."""

import re
from typing import Final, Protocol

from services.kit.conventions import SERVER_NAME_SEPARATOR

URI_SEPARATOR: Final = "+"

_SERVER_NAME: Final = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")

SERVER_NAME_RULE: Final = "lower-case letters, digits and '-', starting with a letter, at most 63 characters"
"""A DNS label that is also the start of a URI scheme; neither separator can occur in it."""


def is_server_name(name: str) -> bool:
    """Whether `name` follows `SERVER_NAME_RULE`."""
    return _SERVER_NAME.fullmatch(name) is not None


class Names(Protocol):
    """How servers' names are woven in and out; `split…` gives an empty server where none is named."""

    def qualify(self, server: str, name: str) -> str:
        """The caller's name for a tool or prompt of a server."""
        ...

    def split(self, qualified: str) -> tuple[str, str]:
        """The server and its own name for a tool or prompt."""
        ...

    def qualify_uri(self, server: str, uri: str) -> str:
        """The caller's URI for a server's resource."""
        ...

    def split_uri(self, qualified: str) -> tuple[str, str]:
        """The server and its own URI for a resource."""
        ...


class PrefixedNames:
    """Names that begin with their server's, so that servers can't collide."""

    def qualify(self, server: str, name: str) -> str:
        """`filesystem`, `read_file` → `filesystem__read_file`."""
        return f"{server}{SERVER_NAME_SEPARATOR}{name}"

    def split(self, qualified: str) -> tuple[str, str]:
        """`filesystem__read_file` → `filesystem`, `read_file`."""
        return _split(qualified, SERVER_NAME_SEPARATOR)

    def qualify_uri(self, server: str, uri: str) -> str:
        """`filesystem`, `file:///a.txt` → `filesystem+file:///a.txt`."""
        return f"{server}{URI_SEPARATOR}{uri}"

    def split_uri(self, qualified: str) -> tuple[str, str]:
        """`filesystem+file:///a.txt` → `filesystem`, `file:///a.txt`."""
        return _split(qualified, URI_SEPARATOR)


class PlainNames:
    """Names as the one and only server has them."""

    def __init__(self, server: str) -> None:
        self._server = server

    def qualify(self, server: str, name: str) -> str:  # noqa: ARG002 - it is the only one
        """The name itself."""
        return name

    def split(self, qualified: str) -> tuple[str, str]:
        """The only server, and the name itself."""
        return self._server, qualified

    def qualify_uri(self, server: str, uri: str) -> str:  # noqa: ARG002 - as above
        """The URI itself."""
        return uri

    def split_uri(self, qualified: str) -> tuple[str, str]:
        """The only server, and the URI itself."""
        return self._server, qualified


def _split(qualified: str, separator: str) -> tuple[str, str]:
    server, found, name = qualified.partition(separator)
    return (server, name) if found else ("", qualified)
