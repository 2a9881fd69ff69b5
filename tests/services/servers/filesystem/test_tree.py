import os
from pathlib import Path
from typing import Any

import pytest


def test_create_directory_makes_what_is_missing(files: Any) -> None:
    assert files.ok("create_directory", path="a/b/c") == {"path": f"{files.root}/a/b/c", "created": True}
    assert files.ok("create_directory", path="a/b/c")["created"] is False
    assert files.ok("create_directory", path=".")["created"] is False
    assert (files.root / "a/b/c").is_dir()
    assert "not a directory" in files.error("create_directory", path="file.txt")
    assert "not a directory" in files.error("create_directory", path="file.txt/x")


def test_move_renames_files_and_directories(files: Any) -> None:
    files.ok("move_file", source="file.txt", destination="sub/moved.txt")
    files.ok("move_file", source="sub", destination="sub2")
    assert (files.root / "sub2" / "moved.txt").read_text() == "harmless\n"
    assert not (files.root / "file.txt").exists()


def test_move_replaces_only_files_and_only_on_request(files: Any) -> None:
    (files.root / "new.txt").write_text("new")
    assert "already exists" in files.error("move_file", source="new.txt", destination="file.txt")
    assert "already exists" in files.error("move_file", source="sub", destination="file.txt", overwrite=True)
    assert "is a directory" in files.error("move_file", source="new.txt", destination="sub", overwrite=True)
    files.ok("move_file", source="new.txt", destination="file.txt", overwrite=True)
    assert (files.root / "file.txt").read_text() == "new"
    assert "already exists" in files.error("move_file", source="file.txt", destination="file.txt")


@pytest.mark.parametrize(
    ("source", "destination", "message"),
    [
        ("nothing", "x", "/nothing': no such file"),
        ("file.txt", "no/where", "/no/where': no such file"),
        ("sub", "sub/below", "can't be moved into itself"),
        (".", "x", "is an allowed folder"),
        ("file.txt", ".", "is an allowed folder"),
    ],
)
def test_what_cannot_be_moved_is_explained(files: Any, source: str, destination: str, message: str) -> None:
    assert message in files.error("move_file", source=source, destination=destination)


def test_move_between_folders_and_file_systems(make_files: Any, tmp_path: Path) -> None:
    shared = Path("/dev/shm") / f"mcp-test-{os.getpid()}"  # noqa: S108 - a second file system is the point
    second = tmp_path / "second"
    second.mkdir()
    shared.mkdir()
    try:
        files = make_files(filesystem_roots=(str(tmp_path / "data"), str(second), str(shared)))
        files.ok("move_file", source=f"{files.root}/file.txt", destination=f"{second}/file.txt")
        assert (second / "file.txt").read_text() == "harmless\n"
        assert "different file systems" in files.error(
            "move_file", source=f"{second}/file.txt", destination=f"{shared}/file.txt"
        )
        assert "is relative, but several folders are allowed" in files.error("read_file", path="file.txt")
    finally:
        shared.rmdir()


def test_delete_removes_one_file(files: Any) -> None:
    assert files.ok("delete_file", path="file.txt") == {"path": f"{files.root}/file.txt"}
    assert "no such file" in files.error("delete_file", path="file.txt")
    assert "is a directory" in files.error("delete_file", path="sub")
    assert (files.root / "sub").is_dir()
