"""Words of the command line become a tool's arguments by its schema."""

import pytest

from cli.arguments import parse_arguments
from infra.errors import PlatformError

SCHEMA = {
    "type": "object",
    "properties": {
        "path": {"type": "string"},
        "limit": {"type": "integer"},
        "mode": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["path"],
}


def test_a_string_is_taken_as_it_stands() -> None:
    assert parse_arguments(["path=12=x.txt", "mode=null"], SCHEMA) == {"path": "12=x.txt", "mode": "null"}


def test_any_other_value_is_json() -> None:
    words = ["path=a", "limit=5", 'tags=["x", "y"]']
    assert parse_arguments(words, SCHEMA) == {"path": "a", "limit": 5, "tags": ["x", "y"]}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["path"], "is not NAME=VALUE"),
        (["path=a", "lmit=5"], "takes no argument 'lmit'"),
        (["limit=5"], "missing argument: path"),
        (["path=a", "limit=five"], "not a value of type integer"),
    ],
)
def test_bad_words_are_named(words: list[str], said: str) -> None:
    with pytest.raises(PlatformError, match=said):
        parse_arguments(words, SCHEMA)


def test_a_tool_without_declared_properties_takes_anything() -> None:
    assert parse_arguments(["x=1"], {"type": "object"}) == {"x": 1}
