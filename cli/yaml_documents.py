"""YAML documents as Kubernetes reads them, with their nodes; what readers don't agree about is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, cast

import yaml

from infra.errors import PlatformError

_MAX_DEPTH: Final = 200
_MAX_NODES: Final = 5_000_000
"""What aliases stand for included; 32 MiB of YAML hold fewer without them."""
_MAX_DIGITS: Final = 400
"""More than any number that fits into 64 bits."""

_TAG: Final = "tag:yaml.org,2002:"
_TAGS: Final = frozenset(
    _TAG + name for name in ("bool", "float", "int", "map", "merge", "null", "seq", "str")
)
_STRINGS: Final = (f"{_TAG}timestamp", f"{_TAG}value")
"""Of YAML 1.1, but strings for Kubernetes: dates, and a lone `=` (an operator in enumerations of CRDs)."""

_PLAIN: Final = ("bool", "float", "int", "null")
"""Types whose text must look like one, with or without a tag."""

_GZIP: Final = b"\x1f\x8b"
_PAIR: Final = re.compile(
    rb"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})"
)
_RENDER: Final = "Is it a template? Check what `helm template` or `kustomize build` make of it."


class _Loader(yaml.CSafeLoader):
    """Safe YAML as Kubernetes reads it: dates and times stay strings, y and n are booleans."""

    bool_values = {**yaml.CSafeLoader.bool_values, "y": True, "n": False}  # noqa: RUF012 - as the library has it


def _resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """First character → types that it may begin, in the order in which they are tried."""
    found: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items():
        kept = {tag: pattern for tag, pattern in resolvers if tag not in _STRINGS}
        kept |= {tag: pattern for tag, pattern in _AS_IN_GO.items() if tag in kept}
        # Go takes for a fraction what is no whole number.
        found[first] = sorted(kept.items(), key=lambda item: item[0] == f"{_TAG}float")
    return found


_AS_IN_GO: Final = {
    f"{_TAG}bool": re.compile(
        r"(?:y|Y|n|N|yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$"
    ),
    f"{_TAG}int": re.compile(r"[-+]?(?:0b[01_]+|0[0-7_]*|0x[0-9a-fA-F_]+|[1-9][0-9_]*)$"),
    f"{_TAG}float": re.compile(
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|[-+]?\.(?:inf|Inf|INF)$|\.(?:nan|NaN|NAN)$"
    ),
}
_Loader.yaml_implicit_resolvers = _resolvers()


def documents(file: str, text: bytes) -> Iterator[tuple[Any, yaml.Node]]:
    """Each document that says something, and its node.

    Raises:
        PlatformError: It is not YAML, or such that no two programs need read the same; with file and line.
    """
    if text.startswith(_GZIP):
        raise PlatformError(f"{file}: is compressed, so it was not checked", hint="Unpack it first.")
    try:
        is_json = text.lstrip()[:1] in (b"{", b"[")
        yield from _documents(file, _PAIR.sub(_joined, text) if is_json else text)
    except yaml.YAMLError as error:
        raise PlatformError(f"{file}: {_where(error, text)}", hint=_hint(text)) from None


def child(node: yaml.Node, segment: str | int) -> tuple[int, yaml.Node] | None:
    """The line (from 0) of a key or item, and its value's node."""
    if isinstance(node, yaml.MappingNode):
        for key, value in reversed(node.value):  # what is merged in comes first, and counts least
            if key.value == str(segment):
                return key.start_mark.line, value
    if isinstance(node, yaml.SequenceNode) and isinstance(segment, int) and segment < len(node.value):
        return node.value[segment].start_mark.line, node.value[segment]
    return None


def _documents(file: str, text: bytes) -> Iterator[tuple[Any, yaml.Node]]:
    _refuse_depth(file, text)
    loader, hint = _Loader(text), _hint(text)
    try:
        while loader.check_node():
            root = cast("yaml.Node", loader.get_node())  # check_node says that there is one
            _refuse_expansion(file, root)
            _refuse_ambiguity(file, root, loader, hint)
            data = loader.construct_document(root)
            if data is not None:
                yield data, root
    finally:
        loader.dispose()


def _joined(match: re.Match[bytes]) -> bytes:
    r"""JSON writes a character as a pair of \u, YAML as one \U."""
    high, low = int(match[2], 16) - 0xD800, int(match[3], 16) - 0xDC00
    return match[1] + b"\\U%08x" % (0x10000 + (high << 10) + low)


def _refuse_ambiguity(file: str, root: yaml.Node, loader: _Loader, hint: str) -> None:
    """Keys that are there twice or are no text, values that their tag doesn't fit."""
    waiting, seen = [root], {id(root)}
    while waiting:
        node = waiting.pop()
        _refuse_tag(file, node, loader)
        children = node.value if isinstance(node, yaml.SequenceNode) else []
        if isinstance(node, yaml.MappingNode):
            _refuse_keys(file, node, hint)
            children = _children(node)
        for item in children:
            if id(item) not in seen:
                seen.add(id(item))
                waiting.append(item)


def _refuse_keys(file: str, node: yaml.MappingNode, hint: str) -> None:
    """Of two equal keys YAML readers keep one, and not all the same: what is checked might not be applied."""
    keys: set[str] = set()
    for key, _ in node.value:
        place = f"{file}:{key.start_mark.line + 1}"
        if not isinstance(key, yaml.ScalarNode):
            raise PlatformError(f"{place}: a key must be text", hint=hint)
        if key.value in keys and key.value != "<<":
            raise PlatformError(f"{place}: the key {key.value} is there twice")
        keys.add(key.value)


def _refuse_tag(file: str, node: yaml.Node, loader: _Loader) -> None:
    place = f"{file}:{node.start_mark.line + 1}"
    if node.tag not in _TAGS:
        raise PlatformError(f"{place}: the tag {node.tag.replace(_TAG, '!!')} is none that Kubernetes reads")
    kind = node.tag.removeprefix(_TAG)
    if not isinstance(node, yaml.ScalarNode):
        fits = kind == ("map" if isinstance(node, yaml.MappingNode) else "seq")
    elif kind in _PLAIN:
        fits = loader.resolve(yaml.ScalarNode, node.value, (True, False)) == node.tag
        fits = fits and len(node.value) <= _MAX_DIGITS
    else:
        fits = kind not in ("map", "seq")
    if not fits:
        raise PlatformError(f"{place}: the value is not of the type that it says, {kind}")


def _refuse_depth(file: str, text: bytes) -> None:
    """The YAML library recurses into nested values: a deep file overflows the stack and ends the process."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            raise PlatformError(f"{file}: is nested deeper than any Kubernetes object")


def _refuse_expansion(file: str, root: yaml.Node) -> None:
    """Aliases can write out a file of terabytes, or one without end; no API server takes either."""
    written: dict[int, tuple[int, int]] = {}  # node → how many nodes it is when written out, how deep
    begun: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting[-1]
        missing = [item for item in _children(node) if id(item) not in written]
        if id(node) in written or not missing:
            waiting.pop()
            below = [written[id(item)] for item in _children(node)]
            size, depth = 1 + sum(item[0] for item in below), 1 + max((item[1] for item in below), default=0)
            if size > _MAX_NODES or depth > _MAX_DEPTH:
                raise PlatformError(f"{file}:{node.start_mark.line + 1}: aliases make it too large or deep")
            written[id(node)] = size, depth
            continue
        if id(node) in begun:
            raise PlatformError(f"{file}:{node.start_mark.line + 1}: an anchor holds itself")
        begun.add(id(node))
        waiting += missing


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _where(error: yaml.YAMLError, text: bytes) -> str:
    """`line 3: found …`, or the error's own words."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem or error.context}"
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count(b"\n", 0, error.position) + 1
        return f"line {line}: is not YAML: {error.reason}"
    return f"is not YAML: {error}"


def _hint(text: bytes) -> str:
    return _RENDER if b"{{" in text else ""
