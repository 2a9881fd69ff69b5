"""What fails does not pass for being unknown, and raises nothing for being of the wrong type."""

from __future__ import annotations

from typing import Any

import pytest

from policies.evaluate import Status
from policies.node import UNKNOWN
from policies.registry import RULES

WRONG_TYPES = ["text", 7, 1.5, True, ["text"], {"a": "b"}, [], {}, [None], [["a"]], [{}]]


@pytest.fixture(scope="session")
def failing(cases: list[Any]) -> list[Any]:
    return [case for case in cases if case.expected[Status.FAIL] and case.changed]


def test_an_unknown_at_or_around_what_fails_is_not_passed_over(failing: list[Any]) -> None:
    passed: list[str] = []
    for case in failing:
        for path in case.changed:
            # Whole metadata that are unknown leave no object to speak of.
            for depth in range(len(path), 0, -1):
                place = path[:depth]
                if place != ["metadata"] and not any(
                    case.spoiled(place, UNKNOWN).found_by(RULES[case.rule]).values()
                ):
                    passed.append(f"{case.rule}: {case.name}: {place}")
    assert passed == []
    assert len(failing) > 250


def test_values_of_the_wrong_type_are_judged_without_an_error(failing: list[Any]) -> None:
    for case in failing:
        for path in case.changed:
            for value in WRONG_TYPES:
                case.spoiled(path, value).found_by(RULES[case.rule])
