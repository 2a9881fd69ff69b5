import base64
import errno
import fcntl
import resource
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from services.servers.filesystem import writing
from services.servers.filesystem.errors import FileError
from services.servers.filesystem.sandbox import Sandbox

REPOSITORY = Path(__file__).parents[4]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_create_makes_a_file_once(files: Any) -> None:
    assert files.ok("write_file", path="new.txt", content="grün\n") == {
        "path": f"{files.root}/new.txt",
        "size": 6,
        "created": True,
    }
    assert "already exists" in files.error("write_file", path="new.txt", content="again")
    assert (files.root / "new.txt").read_text() == "grün\n"


def test_overwrite_replaces_and_keeps_the_permissions(files: Any) -> None:
    path = files.root / "file.txt"
    path.chmod(0o640)
    inode = path.stat().st_ino
    assert files.ok("write_file", path="file.txt", content="new", mode="overwrite")["created"] is False
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", 0o640)
    assert (
        path.stat().st_ino != inode
    )  # another file took the name: whoever had the old one open still reads it whole
    assert files.ok("write_file", path="other.txt", content="new", mode="overwrite")["created"] is True


def test_append_adds(files: Any) -> None:
    assert files.ok("write_file", path="log", content="a", mode="append") == {
        "path": f"{files.root}/log",
        "size": 1,
        "created": True,
    }
    assert files.ok("write_file", path="log", content="b", mode="append")["size"] == 2
    assert (files.root / "log").read_text() == "ab"


def test_binary(files: Any) -> None:
    data = bytes(range(256))
    files.ok("write_file", path="binary", content=base64.b64encode(data).decode(), encoding="base64")
    assert (files.root / "binary").read_bytes() == data
    assert "not valid base64" in files.error("write_file", path="x", content="%%%", encoding="base64")


def test_json_text_stays_text(files: Any) -> None:
    for text in ('["a"]', '{"a": 1}', "null", "12", '"quoted"', ""):
        files.ok("write_file", path="data.json", content=text, mode="overwrite")
        assert (files.root / "data.json").read_text() == text


def test_the_size_limit_holds_for_every_mode(make_files: Any) -> None:
    files = make_files(filesystem_max_file_bytes=10)
    for mode in ("create", "overwrite", "append"):
        assert "would have 11 bytes; at most 10" in files.error(
            "write_file", path="new", content="x" * 11, mode=mode
        )
    files.ok("write_file", path="full", content="x" * 10)
    assert "would have 11 bytes" in files.error("write_file", path="full", content="x", mode="append")
    assert names(files.root) == ["file.txt", "full", "sub"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("sub", "is a directory"),
        ("no/where", "no such file"),
        ("file.txt/x", "not a directory"),
        (".", "is an allowed folder"),
    ],
)
def test_what_cannot_be_written_is_explained(files: Any, path: str, message: str) -> None:
    assert message in files.error("write_file", path=path, content="x", mode="overwrite")


@contextmanager
def disk_full_after(size: int) -> Generator[None]:
    """Let no file of this process grow beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("mode", ["overwrite", "append"])
def test_a_write_that_fails_half_way_changes_nothing(files: Any, mode: writing.Mode) -> None:
    sandbox = Sandbox([str(files.root)])
    with disk_full_after(1000), pytest.raises(FileError, match="too large for the file system"):
        writing.write(sandbox, sandbox.locate("file.txt"), b"x" * 2000, mode, most=10**6)
    assert (files.root / "file.txt").read_text() == "harmless\n"
    assert names(files.root) == ["file.txt", "sub"]
    sandbox.close()


WRITE_FOR_EVER = """
import sys
from services.servers.filesystem.sandbox import Sandbox
from services.servers.filesystem.writing import write
sandbox = Sandbox([sys.argv[1]])
place = sandbox.locate("file")
print("ready", flush=True)
while True:
    for letter in (b"A", b"B"):
        write(sandbox, place, letter * 3_000_000, "overwrite", most=10**7)
"""


def test_a_killed_writer_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"A" * 3_000_000)
    for delay in (0.01, 0.05, 0.15):
        with subprocess.Popen(
            [sys.executable, "-c", WRITE_FOR_EVER, str(tmp_path)], cwd=REPOSITORY, stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(delay)
            writer.send_signal(signal.SIGKILL)
        assert (tmp_path / "file").read_bytes() in {b"A" * 3_000_000, b"B" * 3_000_000}
        assert {path.name for path in tmp_path.iterdir() if not path.name.startswith(".mcp-")} == {"file"}


def test_readers_never_see_half_a_file(tmp_path: Path) -> None:
    sandbox = Sandbox([str(tmp_path)])
    place = sandbox.locate("file")
    writing.write(sandbox, place, b"A" * 200_000, "create", most=10**6)
    done = threading.Event()

    def write() -> None:
        for _ in range(100):
            for letter in (b"B", b"A"):
                writing.write(sandbox, place, letter * 200_000, "overwrite", most=10**6)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        assert (tmp_path / "file").read_bytes() in {b"A" * 200_000, b"B" * 200_000}
    writer.join()
    sandbox.close()


def test_appends_at_the_same_time_all_arrive_whole(tmp_path: Path) -> None:
    sandbox = Sandbox([str(tmp_path)])
    place = sandbox.locate("log")
    place_bytes = (tmp_path / "log").write_bytes(b"")

    def append(letter: bytes) -> None:
        for _ in range(50):
            writing.write(sandbox, place, letter * 1000 + b"\n", "append", most=10**6)

    writers = [threading.Thread(target=append, args=(letter,)) for letter in (b"a", b"b", b"c")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    lines = (tmp_path / "log").read_bytes().splitlines()
    assert place_bytes == 0
    assert len(lines) == 150
    assert all(len(line) == 1000 and len(set(line)) == 1 for line in lines)
    sandbox.close()


@pytest.mark.timeout(60)
def test_waiting_for_a_lock_ends_with_the_time_limit(make_files: Any) -> None:
    files = make_files(tool_timeout=0.3)
    with (files.root / "file.txt").open("a") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        assert "did not finish within 0.3 s" in files.error(
            "write_file", path="file.txt", content="x", mode="append"
        )
    time.sleep(0.2)
    assert (files.root / "file.txt").read_text() == "harmless\n"


def test_where_the_file_system_has_no_exclusive_rename(files: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on NFS, which can't be had in a test."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EINVAL, "as NFS")

    monkeypatch.setattr(writing, "rename_without_replacing", refuse)
    files.ok("write_file", path="new", content="x")
    assert (files.root / "new").stat().st_nlink == 1
    files.ok("move_file", source="new", destination="moved")
    files.ok("move_file", source="sub", destination="sub2")
    assert names(files.root) == ["file.txt", "moved", "sub2"]
    assert "already exists" in files.error("move_file", source="moved", destination="file.txt")
    assert "already exists" in files.error("move_file", source="sub2", destination="file.txt")
