"""Every rule against its cases, and every case against a rule that doesn't work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from policies.evaluate import Status, evaluate
from policies.objects import KubernetesObject, Stack
from policies.registry import RULES
from policies.rule import Options, Rule


def test_a_case_finds_what_it_says(case: Any) -> None:
    assert case.found_by(RULES[case.rule]) == case.expected


def test_every_rule_has_a_case_that_fails_one_that_passes_and_an_edge(rule: Rule, cases: list[Any]) -> None:
    own = [case for case in cases if case.rule == rule.id]
    assert any(case.expected[Status.FAIL] for case in own), "no case fails"
    assert any(not any(case.expected.values()) for case in own), "no case passes"
    assert len(own) >= 3, "no case for an edge"


def test_switching_a_rule_off_fails_a_case(
    rule: Rule, cases: list[Any], mutate: Callable[[Rule, str], Rule]
) -> None:
    silent = mutate(rule, "silent")
    assert any(case.found_by(silent) != case.expected for case in cases if case.rule == rule.id)


def test_a_rule_that_always_fails_fails_a_case(
    rule: Rule, cases: list[Any], mutate: Callable[[Rule, str], Rule]
) -> None:
    loud = mutate(rule, "loud")
    assert any(
        case.found_by(loud) != case.expected
        for case in cases
        if case.rule == rule.id and not case.expected[Status.FAIL]
    )


def test_every_case_is_about_a_rule(cases: list[Any]) -> None:
    assert {case.rule for case in cases} == set(RULES)


def test_the_good_stack_keeps_every_rule_in_prod_and_dev(good_objects: list[dict[str, Any]]) -> None:
    stack = Stack(tuple(KubernetesObject(item) for item in good_objects))
    for environment in ("prod", "dev"):
        results = evaluate(stack, RULES.values(), Options(environment=environment))
        assert [(result.rule.id, result.path) for result in results] == []
