"""Listing, describing and searching, and the bounds of each."""

import os
import tempfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.servers.filesystem import searching
from services.servers.filesystem.patterns import Pattern
from services.servers.filesystem.sandbox import Sandbox
from services.servers.filesystem.searching import Bounds, Search


def test_a_listing_is_sorted_and_typed(files: Any) -> None:
    (files.root / "link").symlink_to("/nowhere")
    os.mkfifo(files.root / "pipe")
    listing = files.ok("list_directory", path=".")
    assert [(entry["name"], entry["type"]) for entry in listing["entries"]] == [
        ("file.txt", "file"),
        ("link", "symlink"),
        ("pipe", "other"),
        ("sub", "directory"),
    ]
    assert listing["entries"][0]["size"] == 9
    assert listing["entries"][0]["modified"].endswith("Z")
    assert (listing["next_after"], listing["not_shown"]) == (None, 0)


def test_long_listings_come_in_pages(make_files: Any) -> None:
    files = make_files(filesystem_max_results=7)
    for number in range(20):
        (files.root / "sub" / f"{number:02}").touch()
    names: list[str] = []
    after = ""
    while after is not None:
        page = files.ok("list_directory", path="sub", after=after)
        assert len(page["entries"]) <= 7
        names += [entry["name"] for entry in page["entries"]]
        after = page["next_after"]
    assert names == [f"{number:02}" for number in range(20)] + ["file.txt"]


def test_names_that_are_not_text_are_counted(files: Any) -> None:
    (files.root / os.fsdecode(b"\xff")).touch()
    listing = files.ok("list_directory", path=".")
    assert [entry["name"] for entry in listing["entries"]] == ["file.txt", "sub"]
    assert listing["not_shown"] == 1
    assert files.ok("search_files", path=".", pattern="**")["stopped_by"] is None


def test_listing_a_file_or_nothing(files: Any) -> None:
    assert "not a directory" in files.error("list_directory", path="file.txt")
    assert "no such file" in files.error("list_directory", path="nothing")


def test_info(files: Any) -> None:
    (files.root / "file.txt").chmod(0o640)
    info = files.ok("get_file_info", path="file.txt")
    assert {key: info[key] for key in ("type", "size", "mode", "hard_links", "mime_type")} == {
        "type": "file",
        "size": 9,
        "mode": "0640",
        "hard_links": 1,
        "mime_type": "text/plain",
    }
    assert files.ok("get_file_info", path="sub")["mime_type"] is None
    assert files.ok("get_file_info", path=".")["path"] == str(files.root)


def found(files: Any, pattern: str, path: str = ".", **arguments: Any) -> list[str]:
    matches = files.ok("search_files", path=path, pattern=pattern, **arguments)["matches"]
    return [match["path"].removeprefix(f"{files.root}/") for match in matches]


def test_search_by_name(files: Any) -> None:
    (files.root / "sub" / "deeper").mkdir()
    (files.root / "sub" / "deeper" / "code.py").touch()
    assert found(files, "*.txt") == ["file.txt", "sub/file.txt"]
    assert found(files, "sub/*") == ["sub/deeper", "sub/file.txt"]
    assert found(files, "sub/**/*.py") == ["sub/deeper/code.py"]
    assert found(files, "**/deeper") == ["sub/deeper"]
    assert found(files, "*", path="sub/deeper") == ["sub/deeper/code.py"]
    assert found(files, "*.PY") == []


def test_search_by_content(files: Any) -> None:
    (files.root / "sub" / "poem").write_text("one\ntwo\n  the [brown] fox\nfour [brown]\n")
    (match,) = files.ok("search_files", path=".", pattern="**", content="[brown]")["matches"]
    assert (match["line"], match["text"]) == (3, "  the [brown] fox")
    (files.root / "long").write_text("x" * 5000 + "NEEDLE" + "y" * 5000)
    (match,) = files.ok("search_files", path=".", pattern="**", content="NEEDLE")["matches"]
    assert "NEEDLE" in match["text"]
    assert len(match["text"]) <= 200


@given(
    st.sampled_from([b"a", b"ab", b"ba", b"b\na", b"x" * 250, b"absent"]),
    st.lists(st.sampled_from([b"a", b"b", b"\n", b"ab", b"x" * 300]), max_size=40).map(b"".join),
    st.integers(1, 300),
)
def test_any_content_is_found_on_its_line(needle: bytes, data: bytes, chunk: int) -> None:
    with tempfile.TemporaryFile() as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr(searching, "CHUNK", chunk)
        file.write(data)
        file.flush()
        result = searching.first_line(file.fileno(), needle)
    at = data.find(needle)
    assert (result is None) == (at < 0)
    if result is not None:
        number, text = result
        assert number == data.count(b"\n", 0, at) + 1
        assert len(text) <= 200
        assert needle.split(b"\n")[0][:100].decode() in text


def test_search_does_not_follow_links(files: Any) -> None:
    (files.root / "sub" / "loop").symlink_to("..")
    assert found(files, "file.txt") == ["file.txt", "sub/file.txt"]
    assert found(files, "loop") == ["sub/loop"]


def test_search_stops_at_the_result_limit(make_files: Any) -> None:
    files = make_files(filesystem_max_results=1)
    result = files.ok("search_files", path=".", pattern="*.txt", limit=50)
    assert (len(result["matches"]), result["stopped_by"]) == (1, "results")


def test_search_stops_at_the_entry_limit(make_files: Any) -> None:
    files = make_files(filesystem_search_entries=2)
    result = files.ok("search_files", path=".", pattern="nothing")
    assert (result["scanned"], result["stopped_by"]) == (2, "entries")


def test_search_stops_at_the_time_limit(files: Any) -> None:
    for number in range(3000):
        (files.root / f"{number}").touch()
    sandbox = Sandbox([str(files.root)])
    bounds = Bounds(results=10**6, entries=10**6, seconds=0.001, file_bytes=1000)
    result = Search(sandbox, sandbox.locate("."), Pattern("**"), b"", bounds).run()
    assert result.stopped_by == "time"
    assert result.scanned < 3000
    sandbox.close()


def test_large_files_are_not_looked_into(make_files: Any) -> None:
    files = make_files(filesystem_max_file_bytes=5)
    result = files.ok("search_files", path=".", pattern="**", content="harm")
    assert (result["matches"], result["skipped"]) == ([], 2)


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("*.py", "a.py", True),
        ("*.py", "x/y/a.py", True),
        ("*.py", "a.pyc", False),
        ("x/*.py", "x/a.py", True),
        ("x/*.py", "x/y/a.py", False),
        ("x/**/*.py", "x/a.py", True),
        ("x/**/*.py", "x/y/z/a.py", True),
        ("**", "a/b", True),
        ("**/b", "b", True),
        ("a/**", "a/b/c", True),
        ("a/**", "b", False),
        ("[ab]?", "a1", True),
        ("[!a]", "a", False),
        ("a**b", "axxb", True),
        ("[", "[", True),
        ("/a", "a", True),
    ],
)
def test_patterns(pattern: str, path: str, expected: bool) -> None:
    assert Pattern(pattern).matches(tuple(path.split("/"))) is expected


@pytest.mark.timeout(20)
@pytest.mark.parametrize("pattern", ["**/" * 300 + "x", "*a" * 400, "**/*a*/" * 100 + "x"])
def test_no_pattern_takes_exponential_time(pattern: str) -> None:
    assert not Pattern(pattern).matches(("a" * 255,) * 500)


@given(st.text(min_size=1, max_size=20), st.lists(st.text(min_size=1, max_size=5), max_size=4))
def test_any_pattern_is_valid(pattern: str, parts: list[str]) -> None:
    assert Pattern(pattern).matches(tuple(parts)) in {True, False}


@pytest.mark.parametrize("pattern", ["", "x" * 1001])
def test_patterns_have_a_length(pattern: str, files: Any) -> None:
    with pytest.raises(ValueError, match="1 to 1000 characters"):
        Pattern(pattern)
    assert "wrong arguments for search_files: pattern" in files.error(
        "search_files", path=".", pattern=pattern
    )
