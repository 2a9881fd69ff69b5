"""What probes ask, and how long they put up with a wrong answer; three-valued as `matching`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from policies.matching import every
from policies.node import Node

ACTIONS: Final = ("httpGet", "tcpSocket", "grpc", "exec")

_DEFAULTS: Final = {"path": "/", "scheme": "HTTP", "host": "", "service": "", "port": ""}
_FIELDS: Final = {
    "httpGet": ("path", "port", "scheme", "host"),
    "tcpSocket": ("port", "host"),
    "grpc": ("port", "service"),
}
_PERIOD, _FAILURES = 10, 3
"""Kubernetes' own, where a probe doesn't say."""


def same_question(left: Node, right: Node, container: Node) -> bool | None:
    """Whether two probes of a container ask the same: one action, of the same path, port or command."""
    return every(_same_action(left.key(name), right.key(name), name, container) for name in ACTIONS)


def patience(probe: Node) -> int | None:
    """Seconds until a probe that fails has its effect; None where a part of it is unknown."""
    period, failures = probe.key("periodSeconds"), probe.key("failureThreshold")
    if period.unknown or failures.unknown:
        return None
    return (period.integer() or _PERIOD) * (failures.integer() or _FAILURES)


def _same_action(left: Node, right: Node, name: str, container: Node) -> bool | None:
    if left.unknown or right.unknown:
        return None
    if left.absent or right.absent:
        return left.absent and right.absent
    if name == "exec":
        return _same_words(left.key("command"), right.key("command"))
    fields = [
        _same(_port(left, container), _port(right, container))
        if field == "port"
        else _same(_or_default(left.key(field), field), _or_default(right.key(field), field))
        for field in _FIELDS[name]
    ]
    return every([*fields, *_same_headers(left, right)])


def _same(left: object, right: object) -> bool | None:
    """Whether two values are the same, where None is an unknown one."""
    return None if left is None or right is None else left == right


def _or_default(node: Node, field: str) -> str | None:
    if node.unknown:
        return None
    text = node.text() or _DEFAULTS[field]
    return text.rstrip("/") or "/" if field == "path" else text


def _port(action: Node, container: Node) -> int | str | None:
    """The port by number, if the container has one of that name."""
    port = action.key("port")
    if port.unknown:
        return None
    if isinstance(port.value, int):
        return port.integer()
    for item in container.at("ports").items():
        name, number = item.key("name"), item.key("containerPort")
        if name.unknown or number.unknown:
            return None
        if name.value == port.text():
            return number.integer()
    return port.text() or ""


def _same_words(left: Node, right: Node) -> bool | None:
    if left.unknown or right.unknown:
        return None
    ours, theirs = left.items(), right.items()
    if len(ours) != len(theirs):
        return False
    return every(
        None if one.unknown or other.unknown else one.text() == other.text()
        for one, other in zip(ours, theirs, strict=True)
    )


def _same_headers(left: Node, right: Node) -> Iterator[bool | None]:
    """By their order, too: who writes them otherwise hardly means the same."""
    ours, theirs = left.key("httpHeaders"), right.key("httpHeaders")
    if ours.unknown or theirs.unknown:
        yield None
    elif len(ours.items()) != len(theirs.items()):
        yield False
    else:
        for one, other in zip(ours.items(), theirs.items(), strict=True):
            for field in ("name", "value"):
                values = one.key(field), other.key(field)
                unsure = any(value.unknown for value in values)
                yield None if unsure else values[0].text() == values[1].text()
