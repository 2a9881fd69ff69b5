"""The kernel's resolution and ours by hand must agree, on any tree and any path."""

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.servers.filesystem.resolve import kernel_resolves, open_by_component, open_by_kernel

pytestmark = pytest.mark.skipif(not kernel_resolves(), reason="this kernel has no openat2(2)")

NAMES = ["a", "b", "c"]
steps = st.sampled_from([*NAMES, *NAMES, "..", ".", ""])
paths = st.lists(steps, min_size=1, max_size=6).map("/".join)
targets = st.one_of(paths, st.just("/"), paths.map(lambda path: f"/{path}"))
nodes = st.dictionaries(
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(tuple),
    st.one_of(st.just("directory"), st.just("file"), targets.filter(bool)),
    max_size=10,
)


def plant(root: Path, tree: dict[tuple[str, ...], str]) -> None:
    for parts, kind in sorted(tree.items()):
        path = root.joinpath(*parts)
        if not path.parent.is_dir() or path.parent.resolve() != path.parent or os.path.lexists(path):
            continue
        if kind == "directory":
            path.mkdir()
        elif kind == "file":
            path.touch()
        else:
            path.symlink_to(kind)


def outcome(opener: Callable[[int, str, int], int], root: int, path: str, flags: int) -> tuple[str, int]:
    try:
        fd = opener(root, path, flags)
    except OSError as error:
        return errno.errorcode[error.errno or 0], 0
    inode = os.fstat(fd).st_ino
    os.close(fd)
    return "opened", inode


@settings(max_examples=300, deadline=None)
@given(tree=nodes, tried=st.lists(paths.filter(bool), min_size=1, max_size=8), directory=st.booleans())
def test_both_resolvers_open_the_same(
    tree: dict[tuple[str, ...], str], tried: list[str], directory: bool
) -> None:
    flags = os.O_RDONLY | (os.O_DIRECTORY if directory else 0)
    with tempfile.TemporaryDirectory() as folder:
        root_path = Path(folder).resolve() / "root"
        root_path.mkdir()
        plant(root_path, tree)
        root = os.open(root_path, os.O_PATH | os.O_DIRECTORY)
        try:
            for path in tried:
                relative = path.lstrip("/") or "."  # callers never pass absolute paths; links may hold them
                assert outcome(open_by_component, root, relative, flags) == outcome(
                    open_by_kernel, root, relative, flags
                ), relative
        finally:
            os.close(root)


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "up").symlink_to("../..")
    (tmp_path / "a" / "loop").symlink_to("loop")
    root = os.open(tmp_path, os.O_PATH)
    before = open_descriptors()
    for path in ("a/b", "a/up", "a/loop", "a/nothing", "a/up/x", "."):
        for opener in (open_by_component, open_by_kernel):
            outcome(opener, root, path, os.O_RDONLY)
    assert open_descriptors() == before
    os.close(root)
