"""CVE-2025-53109 and CVE-2025-53110, and every other way out we know of, against every tool."""

import asyncio
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError

pytestmark = pytest.mark.usefixtures("resolver")

Snapshot = dict[str, tuple[int, int, bytes]]

# Each is a path that must not be reached; {root} is the allowed folder, {outside} lies beside it.
ATTACKS = {
    "dot-dot": "../outside/file.txt",
    "dot-dot to a directory": "../outside",
    "dot-dot that stays inside": "sub/../file.txt",
    "dot-dot after an absolute start": "{root}/../outside/file.txt",
    "dot-dot out of a link": "link-dir/../outside/file.txt",
    "absolute": "{outside}/file.txt",
    "absolute directory": "{outside}",
    "absolute, not there": "{outside}/nothing",
    "the system's": "/etc/passwd",
    "this process": "/proc/self/environ",
    "file system root": "/",
    "prefix sibling": "{root}-evil/file.txt",
    "prefix sibling directory": "{root}-evil",
    "relative link to a file": "link-file",
    "absolute link to a file": "link-absolute",
    "relative link to a directory": "link-dir",
    "below a linked directory": "link-dir/file.txt",
    "deeper below a linked directory": "link-dir/sub/file.txt",
    "not there, below a linked directory": "link-dir/nothing",
    "link to a link": "link-link/file.txt",
    "dangling link": "link-dangling",
    "link through the root's own name": "link-out-and-in/file.txt",
    "link to itself": "link-loop",
    "link into /proc": "link-proc/root/etc/passwd",
    "NUL": "file.txt\0.png",
    "empty": "",
    "too long": "x/" * 3000,
}

CALLS: list[tuple[str, Callable[[str], dict[str, Any]]]] = [
    ("read_file", lambda path: {"path": path}),
    ("list_directory", lambda path: {"path": path}),
    ("search_files", lambda path: {"path": path, "pattern": "**"}),
    ("search_files", lambda path: {"path": path, "pattern": "**", "content": "SECRET"}),
    ("get_file_info", lambda path: {"path": path}),
    ("write_file", lambda path: {"path": path, "content": "x", "mode": "create"}),
    ("write_file", lambda path: {"path": path, "content": "x", "mode": "overwrite"}),
    ("write_file", lambda path: {"path": path, "content": "x", "mode": "append"}),
    ("create_directory", lambda path: {"path": path}),
    ("create_directory", lambda path: {"path": f"{path}/new"}),
    ("move_file", lambda path: {"source": path, "destination": "taken.txt"}),
    ("move_file", lambda path: {"source": "file.txt", "destination": path, "overwrite": True}),
    ("move_file", lambda path: {"source": "file.txt", "destination": f"{path}/new"}),
    ("delete_file", lambda path: {"path": path}),
]


@pytest.fixture
def trapped(files: Any) -> Any:
    """The folder, full of links that lead out of it."""
    for name, target in {
        "link-file": "../outside/file.txt",
        "link-absolute": str(files.outside / "file.txt"),
        "link-dir": "../outside",
        "link-link": "link-dir",
        "link-dangling": "../outside/nothing",
        "link-out-and-in": "../data/sub",
        "link-loop": "link-loop",
        "link-proc": "/proc/self",
    }.items():
        (files.root / name).symlink_to(target)
    return files


def snapshot(*folders: Path) -> Snapshot:
    """Everything about the files below: inode, time and contents."""
    found = [path for folder in folders for path in (folder, *sorted(folder.rglob("*")))]
    return {
        str(path): (
            path.lstat().st_ino,
            path.lstat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in found
    }


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_tool_reaches_outside(trapped: Any, attack: str) -> None:
    path = ATTACKS[attack].format(root=trapped.root, outside=trapped.outside)
    surroundings = (trapped.outside, trapped.root.with_name("data-evil"))
    before = snapshot(*surroundings)
    inside = snapshot(trapped.root)
    for tool, arguments in CALLS:
        message = trapped.error(tool, **arguments(path))
        assert "SECRET" not in message
    assert snapshot(*surroundings) == before
    assert snapshot(trapped.root) == inside


@pytest.mark.parametrize(
    "attack", [name for name, path in ATTACKS.items() if "link-" in path or "{outside}" in path]
)
def test_the_answer_does_not_tell_whether_the_target_exists(trapped: Any, attack: str) -> None:
    path = ATTACKS[attack].format(root=trapped.root, outside=trapped.outside)
    with_target = [trapped.error(tool, **arguments(path)) for tool, arguments in CALLS]
    shutil.rmtree(trapped.outside)
    assert [trapped.error(tool, **arguments(path)) for tool, arguments in CALLS] == with_target


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_resource_reaches_outside(trapped: Any, attack: str) -> None:
    path = ATTACKS[attack].format(root=trapped.root, outside=trapped.outside)
    uris = {f"file:///{path.lstrip('/')}", f"file:///{path.replace('.', '%2e').replace('/', '%2F')}"}

    async def read(uri: str) -> None:
        async with trapped.connect() as client:
            with pytest.raises(MCPError) as error:
                await client.read_resource(uri)
            assert error.value.error.code == -32602
            assert "SECRET" not in str(error.value.error)

    for uri in uris:
        asyncio.run(read(uri.replace("\0", "%00")))


@pytest.mark.parametrize(
    "name", ["%2e%2e", "..%2foutside", "~", "$HOME", "...", ".. ", "a\\..\\b", "C:x", "-rf", "`id`"]
)
def test_names_are_literal(files: Any, name: str) -> None:
    assert files.ok("write_file", path=name, content="mine")["path"] == f"{files.root}/{name}"
    assert (files.root / name).read_text() == "mine"
    assert files.ok("read_file", path=name)["content"] == "mine"
    files.ok("move_file", source=name, destination=f"sub/{name}")
    files.ok("delete_file", path=f"sub/{name}")


@pytest.mark.parametrize(
    "name", ["ü.txt", "u\u0308.txt", "文件", "\u202etxt.exe", "a\nb", "🙂", " ", "a" * 255]
)
def test_unicode_names_round_trip(files: Any, name: str) -> None:
    files.ok("write_file", path=f"sub/{name}", content="mine")
    names = [entry["name"] for entry in files.ok("list_directory", path="sub")["entries"]]
    assert name in names
    assert files.ok("read_file", path=f"{files.root}/sub/{name}")["content"] == "mine"


def test_links_that_stay_inside_are_followed_for_reading_only(files: Any) -> None:
    (files.root / "current").symlink_to("sub")
    (files.root / "sub" / "up").symlink_to("../file.txt")
    assert files.ok("read_file", path="current/up")["content"] == "harmless\n"
    assert files.ok("get_file_info", path="current")["type"] == "directory"
    files.ok("write_file", path="current/new.txt", content="through a linked directory")
    assert (files.root / "sub" / "new.txt").exists()
    for tool, arguments in {
        "write_file": {"path": "sub/up", "content": "x", "mode": "overwrite"},
        "delete_file": {"path": "sub/up"},
        "move_file": {"source": "sub/up", "destination": "elsewhere"},
    }.items():
        assert "is a symbolic link" in files.error(tool, **arguments)
    assert (files.root / "file.txt").read_text() == "harmless\n"


def test_hard_links_to_files_outside_are_neither_read_nor_written(files: Any) -> None:
    os.link(files.outside / "file.txt", files.root / "hard.txt")
    for tool, arguments in {
        "read_file": {"path": "hard.txt"},
        "write_file": {"path": "hard.txt", "content": "x", "mode": "append"},
    }.items():
        assert "has other hard links" in files.error(tool, **arguments)
    assert files.ok("search_files", path=".", pattern="**", content="SECRET")["matches"] == []
    assert (files.outside / "file.txt").read_text() == "SECRET\n"


@pytest.fixture
def special(files: Any) -> Any:
    os.mkfifo(files.root / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(files.root / "socket"))
    if os.geteuid() == 0:
        os.mknod(files.root / "device", 0o600 | 0o020000, os.makedev(1, 5))  # /dev/zero, which never ends
    return files


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["pipe", "socket", "device"])
def test_special_files_are_refused_without_waiting(special: Any, name: str) -> None:
    if not (special.root / name).exists():
        pytest.skip("making a device needs root")
    assert special.ok("get_file_info", path=name)["type"] == "other"
    for tool, arguments in CALLS:
        if tool != "get_file_info":
            special.error(tool, **arguments(name))
    assert "not a regular file" in special.error("read_file", path=name)
    assert special.ok("search_files", path=".", pattern="**", content="x")["matches"] == []
