"""How a server's name is woven into what callers see, and out again: stateless and reversible."""

import re
from typing import Final

from services.kit.conventions import SERVER_NAME_SEPARATOR

URI_SEPARATOR: Final = "+"

_SERVER_NAME: Final = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")

SERVER_NAME_RULE: Final = "lower-case letters, digits and '-', starting with a letter, at most 63 characters"
"""A DNS label that is also the start of a URI scheme; neither separator can occur in it."""


def is_server_name(name: str) -> bool:
    """Whether `name` follows `SERVER_NAME_RULE`."""
    return _SERVER_NAME.fullmatch(name) is not None


def qualify(server: str, name: str) -> str:
    """`filesystem`, `read_file` → `filesystem__read_file`."""
    return f"{server}{SERVER_NAME_SEPARATOR}{name}"


def split(qualified: str) -> tuple[str, str]:
    """`filesystem__read_file` → `filesystem`, `read_file`; the server is empty where there is no prefix."""
    server, separator, name = qualified.partition(SERVER_NAME_SEPARATOR)
    return (server, name) if separator else ("", qualified)


def qualify_uri(server: str, uri: str) -> str:
    """`filesystem`, `file:///a.txt` → `filesystem+file:///a.txt`."""
    return f"{server}{URI_SEPARATOR}{uri}"


def split_uri(qualified: str) -> tuple[str, str]:
    """`filesystem+file:///a.txt` → `filesystem`, `file:///a.txt`; the server is empty without a prefix."""
    server, separator, uri = qualified.partition(URI_SEPARATOR)
    return (server, uri) if separator else ("", qualified)
