"""Directories and files are swapped for links to the outside while tools run: the way around checks."""

import ctypes
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.servers.filesystem import listing, tree, writing
from services.servers.filesystem.errors import FileError
from services.servers.filesystem.patterns import Pattern
from services.servers.filesystem.reading import read_piece
from services.servers.filesystem.sandbox import Sandbox
from services.servers.filesystem.searching import Bounds, Search

SECONDS = 1.5
PATIENCE_SECONDS = 60
"""For what must happen at least once, on a busy machine."""
BOUNDS = Bounds(results=100, entries=1000, seconds=5, file_bytes=1000)

pytestmark = pytest.mark.usefixtures("resolver")


libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
RENAME_EXCHANGE = 2


class Swapper(threading.Thread):
    """Turns `root/dir` and `root/dir/file.txt` into links to the outside and back, as fast as it can."""

    def __init__(self, root: Path, outside: Path) -> None:
        super().__init__()
        self.root = root
        self.outside = outside
        self.stop = threading.Event()
        self.swaps = 0

    def run(self) -> None:
        trap, link = self.root / "trap", self.root / "link"
        while not self.stop.is_set():
            trap.symlink_to(self.outside if self.swaps % 2 else "../outside")
            exchange(trap, self.root / "dir")
            exchange(trap, self.root / "dir")
            trap.unlink()
            link.symlink_to("../../outside/file.txt")
            link.replace(self.root / "dir" / "file.txt")
            link.write_text("harmless")
            link.replace(self.root / "dir" / "file.txt")
            self.swaps += 1


def exchange(one: Path, other: Path) -> None:
    """Swap two names in one step, so that both always exist."""
    if libc.renameat2(AT_FDCWD, bytes(one), AT_FDCWD, bytes(other), RENAME_EXCHANGE):
        raise OSError(ctypes.get_errno(), "renameat2")


@pytest.fixture
def contested(tmp_path: Path) -> Any:
    root, outside = tmp_path / "data", tmp_path / "outside"
    for folder, text in ((root / "dir", "harmless"), (outside, "SECRET")):
        folder.mkdir(parents=True)
        (folder / "file.txt").write_text(text)
    sandbox = Sandbox([str(root)])
    swapper = Swapper(root, outside)
    swapper.start()
    yield sandbox, outside
    deadline = time.monotonic() + PATIENCE_SECONDS
    while swapper.swaps <= 100 and time.monotonic() < deadline:
        time.sleep(0.05)
    swapper.stop.set()
    swapper.join()
    sandbox.close()
    assert swapper.swaps > 100


def hammer(action: Callable[[], object]) -> int:
    """Run the action until time is up, refused or not; return how often it succeeded."""
    began = time.monotonic()
    succeeded = 0
    while (passed := time.monotonic() - began) < SECONDS or (not succeeded and passed < PATIENCE_SECONDS):
        try:
            action()
            succeeded += 1
        except FileError:
            continue
    return succeeded


def test_reads(contested: Any) -> None:
    sandbox, _ = contested
    place = sandbox.locate("dir/file.txt")

    def read() -> None:
        assert b"SECRET" not in read_piece(sandbox, place, offset=0, limit=None, most=1000).data

    assert hammer(read) > 0


def test_listings_and_searches(contested: Any) -> None:
    sandbox, outside = contested
    (outside / "only-outside").touch()

    def look() -> None:
        names = listing.list_directory(sandbox, sandbox.locate("dir"), after="", limit=100).entries
        assert "only-outside" not in {entry.name for entry in names}
        found = Search(sandbox, sandbox.locate("."), Pattern("**"), b"SECRET", BOUNDS).run()
        assert found.matches == []

    assert hammer(look) > 0


def test_metadata(contested: Any) -> None:
    sandbox, outside = contested
    inode = (outside / "file.txt").stat().st_ino
    place = sandbox.locate("dir/file.txt")

    def ask() -> None:
        assert sandbox.stat(place).st_ino != inode

    assert hammer(ask) > 0


@pytest.mark.parametrize("mode", ["create", "overwrite", "append"])
def test_writes(contested: Any, mode: writing.Mode) -> None:
    sandbox, outside = contested
    names = iter(range(10**9))

    def write() -> None:
        name = f"dir/new-{next(names)}" if mode == "create" else "dir/file.txt"
        writing.write(sandbox, sandbox.locate(name), b"w", mode, most=1000)

    assert hammer(write) > 0
    assert [path.name for path in outside.iterdir()] == ["file.txt"]
    assert (outside / "file.txt").read_text() == "SECRET"


def test_new_directories_moves_and_deletions(contested: Any, tmp_path: Path) -> None:
    sandbox, outside = contested
    (outside / "sub").mkdir()
    names = iter(range(10**9))

    def change() -> None:
        number = next(names)
        new = sandbox.locate(f"dir/sub/{number}")
        tree.create_directory(sandbox, new)
        writing.write(sandbox, new.child("a"), b"w", "create", most=10)
        tree.move(sandbox, new.child("a"), sandbox.locate(f"dir/{number}"), overwrite=False)
        tree.delete_file(sandbox, sandbox.locate(f"dir/{number}"))

    def steal() -> None:
        tree.move(
            sandbox, sandbox.locate("dir/file.txt"), sandbox.locate(f"stolen-{next(names)}"), overwrite=True
        )
        tree.delete_file(sandbox, sandbox.locate("dir/file.txt"))

    assert hammer(change) > 0
    hammer(steal)
    assert sorted(path.name for path in outside.rglob("*")) == ["file.txt", "sub"]
    stolen = [path.read_text() for path in (tmp_path / "data").glob("stolen-*") if not path.is_symlink()]
    assert "SECRET" not in stolen
