"""What a human is shown before a call: all that matters, and nothing that pretends to be something else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.approval.wording import MAX_ARGUMENTS, Arguments, ArgumentsError, message

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
OBJECTS = st.dictionaries(st.text(), JSON, max_size=30)


def text_of(arguments: dict[str, Any], tool: str = "erase") -> str:
    return message("files", tool, Arguments(json.dumps(arguments).encode()))


@given(OBJECTS, st.text())
def test_a_message_is_bounded_and_has_one_line_for_each_argument(
    arguments: dict[str, Any], tool: str
) -> None:
    text = text_of(arguments, tool)
    assert len(text) < 8_000
    lines = text.split("\n")
    assert len(lines) == 2 + max(1, min(len(arguments), MAX_ARGUMENTS) + (len(arguments) > MAX_ARGUMENTS))
    assert all(line.isprintable() for line in lines)


def test_long_values_and_many_arguments_are_cut_and_it_says_so() -> None:
    text = text_of({"content": "x" * 10_000, **{f"a{number}": number for number in range(25)}})
    assert f'content = "{"x" * 239}… (9762 more characters)' in text
    assert text.endswith("  … and 6 more that aren't shown")
    worst = text_of({f"{number}{chr(0xE0041) * 999}": chr(0xE0041) * 999 for number in range(25)})
    assert 7_000 < len(worst) < 8_000


@pytest.mark.parametrize(
    ("hidden", "shown"),
    [
        ("a\u202eb", "a\\u202eb"),
        ("a\u200bb", "a\\u200bb"),
        ("\U000e0041", "\\ue0041"),
        ("\ufe0f\u034f\u3164", "\\ufe0f\\u034f\\u3164"),
        ("\u2028", "\\u2028"),
        ("\u00a0", "\\u00a0"),
        ("one\ntwo\x1b[2J", "one\\ntwo\\u001b[2J"),
    ],
)
def test_what_nobody_sees_is_written_out(hidden: str, shown: str) -> None:
    assert f'x = "{shown}"' in text_of({"x": hidden})
    assert shown.replace("\\n", "\\u000a") in text_of({hidden: 1})


def test_other_scripts_are_shown_as_they_are() -> None:
    assert 'datei = "Größe हिन्दी 日本"' in text_of({"datei": "Größe हिन्दी 日本"})


@given(OBJECTS)
def test_the_digest_is_of_what_is_meant_not_of_how_it_is_written(arguments: dict[str, Any]) -> None:
    one = Arguments(json.dumps(arguments).encode())
    reordered = dict(reversed(list(arguments.items())))
    two = Arguments(json.dumps(reordered, indent=3, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    assert one.digest == two.digest
    assert one.digest != Arguments(json.dumps({**arguments, "one more": 1}).encode()).digest


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": 1, "a": 1}',
        b'{"a": [{"b": 1, "b": 2}]}',
        b"[1]",
        b'"x"',
        b"null",
        b'{"a": NaN}',
        b'{"a": -1e999}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    ],
)
def test_what_can_be_read_in_two_ways_isnt_shown(text: bytes) -> None:
    with pytest.raises(ArgumentsError):
        Arguments(text)
