import base64
from typing import Any

import pytest


def test_text(files: Any) -> None:
    assert files.ok("read_file", path="file.txt") == {
        "path": f"{files.root}/file.txt",
        "content": "harmless\n",
        "encoding": "utf-8",
        "size": 9,
        "offset": 0,
        "length": 9,
        "next_offset": None,
        "mime_type": "text/plain",
    }


def test_plain_clients_see_the_bare_text(files: Any) -> None:
    (block,) = files.call("read_file", path="file.txt").content
    assert block.text == "harmless\n"


def test_binary(files: Any) -> None:
    data = bytes(range(256))
    (files.root / "picture.png").write_bytes(data)
    result = files.call("read_file", path="picture.png")
    assert result.structured_content["encoding"] == "base64"
    assert base64.b64decode(result.structured_content["content"]) == data
    (block,) = result.content
    assert (block.resource.uri, block.resource.mime_type) == (f"file://{files.root}/picture.png", "image/png")
    assert base64.b64decode(block.resource.blob) == data


def test_text_can_be_had_as_base64_but_binary_not_as_text(files: Any) -> None:
    assert files.ok("read_file", path="file.txt", encoding="base64")["content"] == "aGFybWxlc3MK"
    (files.root / "binary").write_bytes(b"\xff")
    assert "is not UTF-8 text" in files.error("read_file", path="binary", encoding="utf-8")


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 7, 100])
def test_pieces_add_up_and_never_cut_a_character(files: Any, limit: int) -> None:
    text = "aä€🙂" * 10
    (files.root / "text").write_text(text)
    pieces: list[bytes] = []
    offset: int | None = 0
    while offset is not None:
        piece = files.ok("read_file", path="text", offset=offset, limit=limit)
        assert piece["offset"] == offset
        raw = (
            piece["content"].encode() if piece["encoding"] == "utf-8" else base64.b64decode(piece["content"])
        )
        assert len(raw) == piece["length"] > 0
        assert limit < 4 or piece["encoding"] == "utf-8"
        pieces.append(raw)
        offset = piece["next_offset"]
    assert b"".join(pieces).decode() == text


def test_beyond_the_end_there_is_nothing(files: Any) -> None:
    piece = files.ok("read_file", path="file.txt", offset=1000)
    assert (piece["content"], piece["length"], piece["next_offset"]) == ("", 0, None)


def test_an_empty_file(files: Any) -> None:
    (files.root / "empty").touch()
    assert files.ok("read_file", path="empty")["content"] == ""


@pytest.mark.parametrize("setting", ["filesystem_max_read_bytes", "filesystem_max_file_bytes"])
def test_a_file_larger_than_one_answer_is_read_in_pieces(make_files: Any, setting: str) -> None:
    files = make_files(**{setting: 10})
    (files.root / "large").write_text("0123456789abcdef")
    assert "16 bytes are more than the 10 of one answer" in files.error("read_file", path="large")
    assert "11 bytes are more than the 10" in files.error("read_file", path="large", limit=11)
    piece = files.ok("read_file", path="large", limit=10)
    assert (piece["content"], piece["size"], piece["next_offset"]) == ("0123456789", 16, 10)
    assert files.ok("read_file", path="large", offset=10)["content"] == "abcdef"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nothing", "no such file or directory"),
        ("sub", "is a directory"),
        ("file.txt/x", "a part of the path is not a directory"),
        ("x" * 300, "the name is too long"),
    ],
)
def test_what_cannot_be_read_is_explained(files: Any, path: str, message: str) -> None:
    assert message in files.error("read_file", path=path)


@pytest.mark.parametrize("arguments", [{"offset": -1}, {"limit": 0}, {"encoding": "latin-1"}, {"length": 5}])
def test_wrong_arguments_are_named(files: Any, arguments: dict[str, Any]) -> None:
    message = files.error("read_file", path="file.txt", **arguments)
    assert message.startswith("wrong arguments for read_file: ")
    assert next(iter(arguments)) in message
