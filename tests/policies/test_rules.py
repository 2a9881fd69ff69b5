"""Every rule against its cases, and every case against a rule that doesn't work."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from policies.evaluate import Status, evaluate
from policies.objects import KubernetesObject, Stack
from policies.program import Resource
from policies.registry import RULES
from policies.rule import Finding, Options, Rule


def test_a_case_finds_what_it_says(case: Any) -> None:
    assert case.found_by(RULES[case.rule]) == case.expected


def test_every_rule_has_a_case_that_fails_one_that_passes_and_an_edge(rule: Rule, cases: list[Any]) -> None:
    own = [case for case in cases if case.rule == rule.id]
    assert any(case.expected[Status.FAIL] for case in own), "no case fails"
    assert any(not any(case.expected.values()) for case in own), "no case passes"
    assert len(own) >= 3, "no case for an edge"


@pytest.mark.parametrize(
    "findings", [[], [Finding(("mutant",), "always fails")]], ids=["switched off", "always failing"]
)
def test_a_broken_rule_fails_a_case(rule: Rule, cases: list[Any], findings: list[Finding]) -> None:
    def broken(_subject: KubernetesObject | Resource | Stack, _options: Options) -> list[Finding]:
        return findings

    if rule.check_stack:
        mutant = replace(rule, check_stack=broken)
    elif rule.check_resource:
        mutant = replace(rule, check_resource=broken)
    else:
        mutant = replace(rule, check_object=broken)
    quiet = [case for case in cases if case.rule == rule.id and not case.expected[Status.FAIL]]
    loud = [case for case in cases if case.rule == rule.id and case.expected[Status.FAIL]]
    assert all(case.found_by(mutant) != case.expected for case in (quiet if findings else loud))


LASTING_ONLY = {
    "readiness-probe",
    "liveness-probe",
    "startup-probe",
    "probes-not-identical",
    "liveness-not-dependency",
    "probe-port",
    "probe-timeout",
    "stateful-memory-guaranteed",
    "termination-grace",
}
"""Rules about what runs as long as the pod does."""

LOOKS_AWAY = {
    "initContainers": LASTING_ONLY,
    # Kubernetes lets them have no resources.
    "ephemeralContainers": LASTING_ONLY
    | {"resource-requests", "memory-limit", "requests-within-limits", "ephemeral-storage-limit"},
}


@pytest.mark.parametrize("group", LOOKS_AWAY)
def test_what_is_wrong_in_a_container_is_wrong_in_init_and_ephemeral_ones(
    rule: Rule, cases: list[Any], group: str
) -> None:
    moved = [case.in_group(group) for case in cases if case.rule == rule.id and case.is_about_a_container]
    for case in moved:
        found = case.found_by(rule)
        assert not any(found.values()) if rule.id in LOOKS_AWAY[group] else found == case.expected, case.name


def test_most_rules_about_containers_have_a_case_for_init_and_ephemeral_ones(cases: list[Any]) -> None:
    assert len({case.rule for case in cases if case.is_about_a_container}) >= 30


def test_every_case_is_about_a_rule(cases: list[Any]) -> None:
    assert {case.rule for case in cases} == set(RULES)


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_the_good_stack_keeps_every_rule(
    good_objects: list[dict[str, Any]], good_program: tuple[Resource, ...], environment: str
) -> None:
    stack = Stack(tuple(KubernetesObject(item) for item in good_objects), resources=good_program)
    results = evaluate(stack, RULES.values(), Options(environment=environment))
    assert [(result.rule.id, result.path) for result in results] == []


def test_a_rule_says_what_one_needs_to_know(rule: Rule) -> None:
    assert rule.title
    assert not rule.title.endswith(".")
    assert rule.remediation.endswith(".")
    assert set(rule.enforcement) == {"dev", "prod"}
    assert set(rule.settings) <= set(Options.__slots__)


def test_rules_need_neither_pulumi_nor_the_rest_of_the_platform() -> None:
    code = "import sys, policies.evaluate, policies.registry; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = {name.partition(".")[0] for name in done.stdout.split()}
    assert not imported & {
        "cli",
        "grpc",
        "infra",
        "pulumi",
        "pulumi_policy",
        "services",
        "yaml",
    }
