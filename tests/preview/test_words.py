from __future__ import annotations

import json
from typing import Any

import pytest

from cli.preview_words import LONGEST, change_words, money, money_change
from infra.comparison.cost_pods import Amount
from infra.engine.diff import ABSENT, Change


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (1, 2, "1 → 2"),
        ("", "a", '"" → a'),
        (True, ABSENT, "true → (none)"),
        ("a\nb\nc", "a\nB\nc", "+1 -1 lines: - b ⏎ + B"),
        (ABSENT, "a\nb", "+2 -0 lines: + a ⏎ + b"),
        (["a", "b"], ["b", "c"], "- a; + c"),
        (["a", "b"], ["b", "a"], "another order"),
        (list("abcdefgh"), [], "- a; - b; - c; - d; - e; - f; … 2 more"),
        (json.dumps({"a": {"b": 1}, "c": 2}), json.dumps({"a": {"b": 3}, "c": 2}), "a.b: 1 → 3"),
        ("x" * 200 + "a", "x" * 200 + "b", f"…{'x' * 16}a → …{'x' * 16}b"),
    ],
)
def test_only_what_differs_is_told(old: Any, new: Any, words: str) -> None:
    assert change_words(Change("f", old, new)) == f"f: {words}"


def test_a_long_value_is_cut() -> None:
    assert len(change_words(Change("f", "a" * 5000, "b" * 5000))) < 2 * LONGEST + 20


@pytest.mark.parametrize(
    ("amount", "change", "total"),
    [
        (Amount(0, 0), "no change", "0"),
        (Amount(12.4, 12.4), "+12", "12"),
        (Amount(-3, 40), "-3.00 to +40", "-3.00 to 40"),
        (Amount(0.4, 0.4), "+0.40", "0.40"),
    ],
)
def test_money_is_in_whole_units_unless_it_is_small(amount: Amount, change: str, total: str) -> None:
    assert (money_change(amount), money(amount)) == (change, total)
