"""Changes as they may be shown: secrets are compared before, and here become marks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from infra.engine.diff import ABSENT, Change
from infra.engine.graph import UNKNOWN, Data, Resource, Secret

HIDDEN: Final = "(secret)"
OTHER: Final = "(another secret)"
LATER: Final = "(known after up)"

_WORDS: Final = (
    r"password|passwd|pwd|passphrase|secret|token|credential|connection[_-]?string|dsn|authorization"
    r"|(?:api|auth|access|secret|private|signing|encryption|session)[_-]?key"
)
_SECRET_NAME: Final = re.compile(
    rf"(?:^|[._\-]|(?<=[a-z0-9]))(?:(?:{_WORDS})(?:_?pem)?|passwords|secrets|credentials)$", re.IGNORECASE
)
_SECRET_TEXT: Final = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----|client-key-data:|\beyJ[\w-]+\.[\w-]+\.[\w-]*"
    r"|\bA[KS]IA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}|\bgithub_pat_\w{22}|\bglpat-[\w-]{20}"
    r"|\bxox[abeoprs]-[\w-]{10}|\bsk-(?:ant-|proj-)?[\w-]{20}|\bAIza[\w-]{35}|\bhvs\.[\w-]{20}"
    r"|\bpul-[0-9a-f]{40}|hooks\.slack\.com/(?:services|workflows|triggers)/."
)
"""What is a secret wherever it is: keys in PEM, JWTs, tokens that begin with a service's own letters."""
_ASSIGNED: Final = re.compile(
    rf"""(?<!:)((?:{_WORDS})(?:\\*["'])?[ \t]*[:=][ \t]*|(?<![\w-])--?[\w-]*(?:{_WORDS})[ \t]+)"""
    r"""([|>][-+0-9]*[ \t]*\n(?:[ \t]+[^\n]*(?:\n|\Z))+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^\n]+)""",
    re.IGNORECASE,
)
"""`password: …` in a text of several settings, `--password=…`, `--password …`; not an ARN's `:secret:…`."""
_LOGIN: Final = re.compile(r"(?<=://)[^/\s\"'<>]+(?=@)")
_LAST: Final = re.compile(r"[^.\[\]]+")


def redacted(change: Change, resource: Resource) -> Change:
    """A change without any secret in it, and with marks for what is not known yet."""
    name = _last_name(change.path)
    hide = _of_a_secret(resource, change.path) or _names_a_secret(change.path)
    old, new = shown(change.old, name, hide=hide), shown(change.new, name, hide=hide)
    if old != new:
        return Change(change.path, old, new)
    # What differs is what is hidden. Of a text of several lines, its other lines would look like changes.
    return Change(change.path, old if isinstance(old, str) and "\n" not in old else HIDDEN, OTHER)


def shown(value: Data, name: str = "", *, hide: bool = False) -> Data:
    """A value as it may be shown.

    Args:
        value: With `Secret` and `UNKNOWN` inside.
        name: The field's name; what is called a password is hidden though nothing marks it.
        hide: Whether it is part of a secret as a whole.
    """
    if isinstance(value, Mapping):
        paired = hide or _is_secret_pair(value)
        return {
            str(key): shown(item, str(key), hide=paired if key == "value" else hide)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [shown(item, name, hide=hide) for item in value]
    return _leaf(value, name, hide)


def _leaf(value: Data, name: str, hide: bool) -> Data:
    if value is UNKNOWN or (isinstance(value, Secret) and value.value is UNKNOWN):
        return LATER
    if isinstance(value, Secret):
        return HIDDEN
    if value == ABSENT or value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return HIDDEN if hide or (value and _SECRET_NAME.search(name)) else scrubbed(value)
    return HIDDEN if hide else value


def scrubbed(text: str) -> str:
    """A text without keys, tokens, passwords and the logins of addresses."""
    return HIDDEN if _SECRET_TEXT.search(text) else _ASSIGNED.sub(rf"\1{HIDDEN}", _LOGIN.sub(HIDDEN, text))


def _is_secret_pair(value: Mapping[Any, Any]) -> bool:
    """`{"name": "DB_PASSWORD", "value": "…"}`, as containers' variables are given."""
    return isinstance(value.get("name"), str) and bool(_SECRET_NAME.search(value["name"]))


def _of_a_secret(resource: Resource, path: str) -> bool:
    """Whether a path is in the contents of a Secret object, or of an image's build secrets."""
    if resource.type == "kubernetes:core/v1:Secret":
        return path.startswith(("data", "stringData"))
    return path.partition(".")[0] in {"secrets", "buildSecrets"}


def _names_a_secret(path: str) -> bool:
    """`….env[DB_PASSWORD].value`, or a field whose own name says it."""
    names = _LAST.findall(path)
    return len(names) > 1 and names[-1] == "value" and bool(_SECRET_NAME.search(names[-2]))


def _last_name(path: str) -> str:
    names = _LAST.findall(path)
    return names[-1] if names else ""
