"""Kubernetes objects from YAML and JSON files, with the line of every field."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import yaml

from infra.errors import PlatformError
from policies.node import Path as FieldPath
from policies.objects import KubernetesObject

STDIN: Final = "-"
_SUFFIXES: Final = frozenset({".json", ".yaml", ".yml"})
_MAX_BYTES: Final = 32 * 1024 * 1024
"""Files above this are refused: no API server takes an object above 3 MiB, and a stack is far below."""
_MAX_DEPTH: Final = 200
_MAX_NODES: Final = 5_000_000
"""What aliases stand for included; 32 MiB of YAML hold fewer without them."""


class _Loader(yaml.CSafeLoader):
    """Safe YAML as Kubernetes reads it: dates stay strings."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True, slots=True)
class Source:
    """Where an object was read.

    Attributes:
        file: The file's name as given, `-` for standard input.
        root: The object's YAML node, which knows its lines.
    """

    file: str
    root: yaml.MappingNode

    def line(self, path: FieldPath) -> int:
        """Line (from 1) of the field, or of the nearest field around it that is there."""
        node: yaml.Node = self.root
        line = node.start_mark.line
        for segment in path:
            found = _child(node, segment)
            if found is None:
                break
            line, node = found
        return line + 1


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the files hold: objects with their sources, and files of folders that hold no object."""

    objects: Mapping[KubernetesObject, Source]
    skipped: tuple[str, ...]


def load(names: list[str]) -> Loaded:
    """Read files, folders (their .yaml, .yml and .json files, at any depth) and `-` for standard input.

    Raises:
        PlatformError: A file can't be read, is not YAML, or was named itself and holds no object.
    """
    objects: dict[KubernetesObject, Source] = {}
    skipped: list[str] = []
    for file, named in _files(names):
        try:
            objects |= _objects(file)
        except _NotKubernetesError as error:
            if named:
                raise PlatformError(str(error), hint="Every document needs apiVersion and kind.") from None
            skipped.append(file)
    return Loaded(objects, tuple(skipped))


class _NotKubernetesError(Exception):
    """A document is YAML, but no Kubernetes object."""


def _files(names: list[str]) -> Iterator[tuple[str, bool]]:
    """The files to read, and whether each was named itself."""
    for name in names:
        path = Path(name)
        if name == STDIN or not path.is_dir():
            yield name, True
            continue
        found = sorted(item for item in path.rglob("*") if item.suffix in _SUFFIXES and item.is_file())
        if not found:
            raise PlatformError(f"{name}: there is no YAML or JSON file in this folder")
        for item in found:
            yield str(item), False


def _objects(file: str) -> dict[KubernetesObject, Source]:
    text = _text(file)
    objects: dict[KubernetesObject, Source] = {}
    loader = _Loader(text)
    try:
        _refuse_depth(file, text)
        while loader.check_node():
            root = cast("yaml.Node", loader.get_node())  # check_node says that there is one
            _refuse_expansion(file, root)
            _refuse_repeated_keys(file, root)
            data = loader.construct_document(root)
            if data is not None:
                for item, node in _expand(file, data, root):
                    origin = f"{file}:{node.start_mark.line + 1}"
                    objects[KubernetesObject(item, origin=origin)] = Source(file, node)
    except yaml.YAMLError as error:
        raise PlatformError(f"{file}: {_where(error)}") from None
    finally:
        loader.dispose()
    return objects


def _text(file: str) -> bytes:
    try:
        data = sys.stdin.buffer.read(_MAX_BYTES + 1) if file == STDIN else _read(Path(file))
    except OSError as error:
        raise PlatformError(f"{file}: {error.strerror}") from None
    if len(data) > _MAX_BYTES:
        raise PlatformError(f"{file}: is larger than {_MAX_BYTES // 1024 // 1024} MiB, so it was not checked")
    return data


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MAX_BYTES + 1)


def _expand(
    file: str,
    data: Any,  # noqa: ANN401 - any YAML
    root: yaml.Node,
) -> Iterator[tuple[dict[str, Any], yaml.MappingNode]]:
    """The document's object, or the items of a list of objects."""
    line = root.start_mark.line + 1
    if not isinstance(data, dict) or not isinstance(root, yaml.MappingNode):
        raise _NotKubernetesError(f"{file}:{line}: is not a Kubernetes object but {type(data).__name__}")
    if not (isinstance(data.get("apiVersion"), str) and isinstance(data.get("kind"), str)):
        raise _NotKubernetesError(f"{file}:{line}: is not a Kubernetes object: apiVersion or kind is missing")
    items = _child(root, "items")
    if not (data["kind"].endswith("List") and items is not None):
        yield data, root
        return
    content = data["items"] or []
    if not isinstance(content, list) or not isinstance(items[1], yaml.SequenceNode):
        raise PlatformError(f"{file}:{items[0] + 1}: items must be a list")
    for item, node in zip(content, items[1].value, strict=True):
        yield from _expand(file, item, node)


def _child(node: yaml.Node, segment: str | int) -> tuple[int, yaml.Node] | None:
    """The line (from 0) of a key or item, and its value's node."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(segment):
                return key.start_mark.line, value
    if isinstance(node, yaml.SequenceNode) and isinstance(segment, int) and segment < len(node.value):
        return node.value[segment].start_mark.line, node.value[segment]
    return None


def _refuse_repeated_keys(file: str, root: yaml.Node) -> None:
    """Of two equal keys YAML readers keep one, and not all the same: what is checked might not be applied."""
    waiting, seen = [root], {id(root)}
    while waiting:
        node = waiting.pop()
        children: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            keys: set[str] = set()
            for key, value in node.value:
                if key.value in keys and key.value != "<<":
                    raise PlatformError(
                        f"{file}:{key.start_mark.line + 1}: the key {key.value} is there twice"
                    )
                if isinstance(key, yaml.ScalarNode):
                    keys.add(key.value)
                children.append(value)
        elif isinstance(node, yaml.SequenceNode):
            children = node.value
        for child in children:
            if id(child) not in seen:
                seen.add(id(child))
                waiting.append(child)


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
        missing = [child for child in _children(node) if id(child) not in written]
        if id(node) in written or not missing:
            waiting.pop()
            below = [written[id(child)] for child in _children(node)]
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


def _where(error: yaml.YAMLError) -> str:
    """`line 3: found …`, or the error's own words."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem or error.context}"
    return f"is not YAML: {error}"
