"""Kubernetes objects from YAML and JSON files, with the line of every field."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from cli.yaml_documents import child, documents
from infra.errors import PlatformError
from policies.node import Path as FieldPath
from policies.objects import KubernetesObject

STDIN: Final = "-"
_SUFFIXES: Final = frozenset({".json", ".yaml", ".yml"})
_MAX_BYTES: Final = 32 * 1024 * 1024
"""Files above this are refused: no API server takes an object above 3 MiB, and a stack is far below."""


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
            found = child(node, segment)
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
    for name in names:
        if name == STDIN or not Path(name).is_dir():
            objects |= _objects(name, named=True)
            continue
        files, others = _in_folder(name)
        skipped += others
        for file in files:
            found = _objects(file, named=False)
            objects |= found
            if not found:
                skipped.append(file)
    return Loaded(objects, tuple(skipped))


class _NotKubernetesError(Exception):
    """A document is YAML, but no Kubernetes object."""


def _in_folder(name: str) -> tuple[list[str], list[str]]:
    """A folder's files; and what looks like one there, but is a link to a folder, a pipe or a socket."""

    def refuse(error: OSError) -> None:
        raise PlatformError(f"{error.filename}: {error.strerror}") from None

    files: list[str] = []
    others: list[str] = []
    for folder, inside, here in os.walk(name, onerror=refuse):
        inside.sort()
        others += [str(path) for path in (Path(folder, item) for item in inside) if path.is_symlink()]
        for path in (Path(folder, item) for item in sorted(here)):
            if path.suffix in _SUFFIXES:
                # A link that leads nowhere is an error as soon as it is read.
                (files if path.is_file() or path.is_symlink() else others).append(str(path))
    if not files:
        raise PlatformError(f"{name}: there is no YAML or JSON file in this folder")
    return files, others


def _objects(file: str, *, named: bool) -> dict[KubernetesObject, Source]:
    """A file's objects; none where a file that wasn't named itself holds nothing of the kind."""
    objects: dict[KubernetesObject, Source] = {}
    strange = ""
    for data, root in documents(file, _text(file)):
        try:
            for item, node in _expand(file, data, root):
                origin = f"{file}:{node.start_mark.line + 1}"
                objects[KubernetesObject(item, origin=origin)] = Source(file, node)
        except _NotKubernetesError as error:
            strange = strange or str(error)
    if strange and (named or objects):  # beside objects it may be one that is misspelt
        raise PlatformError(strange, hint="Every document needs apiVersion and kind.")
    return objects


def _text(file: str) -> bytes:
    try:
        data = sys.stdin.buffer.read(_MAX_BYTES + 1) if file == STDIN else _read(Path(file))
    except OSError as error:
        raise PlatformError(f"{file}: {error.strerror}") from None
    except ValueError as error:  # a name with a zero byte
        raise PlatformError(f"{file!r}: {error}") from None
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
    if not (data["kind"] == "List" or (data["kind"].endswith("List") and "items" in data)):
        yield data, root
        return
    found = child(root, "items")
    if found is None or data["items"] is None:
        return
    line, items = found
    if not isinstance(data["items"], list) or not isinstance(items, yaml.SequenceNode):
        raise PlatformError(f"{file}:{line + 1}: items must be a list")
    for item, node in zip(data["items"], items.value, strict=True):
        yield from _expand(file, item, node)
