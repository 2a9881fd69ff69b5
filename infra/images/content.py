"""The hash that names an image: equal inputs, equal name, so an unchanged image is never built twice.

Pure and deterministic: nothing but the files' relative names, their bytes and their executable bit counts;
neither the checkout's place on disk nor any time stamp does.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

HASH_DIGITS: Final = 16
"""Hexadecimal digits of a content hash (64 bits), short enough for a tag that people read."""

_IGNORED_FOLDERS: Final = frozenset({"__pycache__"})
_IGNORED_SUFFIXES: Final = frozenset({".pyc", ".pyo"})
_INSTRUCTION: Final = re.compile(r"^\s*(?:COPY|ADD)\s+(.*)$", re.IGNORECASE | re.MULTILINE)
_DEFAULT: Final = re.compile(r"^\s*ARG\s+(\w+)=(\S+)", re.IGNORECASE | re.MULTILINE)
_VARIABLE: Final = re.compile(r"\$\{(\w+)\}|\$(\w+)")


def image_hash(dockerfile: Path, context: Path, build_args: Mapping[str, str]) -> str:
    """`content_hash` over exactly the files that `dockerfile` copies out of the folder `context`."""
    return content_hash(dockerfile, copied_paths(dockerfile, context, build_args), build_args)


def content_hash(dockerfile: Path, context_paths: Iterable[Path], build_args: Mapping[str, str]) -> str:
    """Hash a Dockerfile, the files and folders that it copies, and the build arguments.

    Args:
        dockerfile: The Dockerfile; the names of all other files are hashed relative to its folder.
        context_paths: Files and folders, in any order. Byte code is ignored, as `.dockerignore` ignores it.
        build_args: Build arguments that change what is built.

    Returns:
        `HASH_DIGITS` hexadecimal digits.

    Raises:
        FileNotFoundError: A path does not exist.
    """
    files = {_name(path, dockerfile): path for path in _files((dockerfile, *context_paths))}
    total = hashlib.sha256()
    for key, value in sorted(build_args.items()):
        total.update(_framed(b"arg", key.encode(), value.encode()))
    for name, path in sorted(files.items()):
        kind = b"executable" if path.stat().st_mode & stat.S_IXUSR else b"file"
        total.update(_framed(kind, name.encode(), path.read_bytes()))
    return total.hexdigest()[:HASH_DIGITS]


def copied_paths(dockerfile: Path, context: Path, build_args: Mapping[str, str]) -> list[Path]:
    """The paths below `context` that COPY and ADD instructions name, with build arguments filled in.

    Copies out of another stage or image (`--from=`) are left out. Understands what our Dockerfiles use: the
    one-line shell form and `*` patterns.

    Raises:
        FileNotFoundError: A copied path does not exist, which would fail the build too.
    """
    text = dockerfile.read_text()
    values = {**dict(_DEFAULT.findall(text)), **build_args}
    paths: set[Path] = set()
    for match in _INSTRUCTION.finditer(text):
        words = [_fill(word, values) for word in match[1].split()]
        if any(word.startswith("--from=") for word in words):
            continue
        *sources, _target = [word for word in words if not word.startswith("--")]
        for source in sources:
            found = sorted(context.glob(source.rstrip("/"))) if source != "." else [context]
            if not found:
                raise FileNotFoundError(f"{dockerfile}: COPY names {source}, which is not in {context}")
            paths.update(found)
    return sorted(paths)


def _fill(word: str, values: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda match: values.get(match[1] or match[2], ""), word)


def _name(path: Path, dockerfile: Path) -> str:
    return Path(os.path.relpath(path, dockerfile.parent)).as_posix()


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from (file for file in path.rglob("*") if file.is_file() and not _ignored(file))
        elif path.is_file():
            yield path
        else:
            raise FileNotFoundError(f"{path} does not exist, so no image can be named after it")


def _ignored(path: Path) -> bool:
    return path.suffix in _IGNORED_SUFFIXES or not _IGNORED_FOLDERS.isdisjoint(path.parts)


def _framed(*fields: bytes) -> bytes:
    """Length-prefixed fields, so that no two different inputs run together into the same bytes."""
    return b"".join(len(field).to_bytes(8, "big") + field for field in fields)
