"""Linters that other people wrote find nothing in our stacks but what a table allows, with a reason each."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from infra.engine.manifest import manifests
from infra.engine.render import write_tree
from tests.evaluated import evaluated
from tests.linters.allowed import ALLOWED, Allowed
from tests.linters.running import Finding, ask_checkov, ask_kube_score

pytestmark = pytest.mark.timeout(1800)  # the first time, one linter is built and the other installed

STACKS = ("dev", "prod")
ASK: Mapping[str, Callable[[Path], list[Finding]]] = {"checkov": ask_checkov, "kube-score": ask_kube_score}
BAD = Path(__file__).parent / "bad.yaml"
SERIOUS = {
    "checkov": {"CKV_K8S_14", "CKV_K8S_16", "CKV_K8S_19", "CKV_K8S_22", "CKV_K8S_40"},
    "kube-score": {
        "container-image-tag",
        "container-resources",
        "container-security-context-privileged",
        "container-security-context-user-group-id",
        "pod-networkpolicy",
    },
}
"""What each linter must say about the bad object, at least."""


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Finding]]:
    """All that both linters say about each stack, as `mcpctl render` writes it."""
    found: dict[str, list[Finding]] = {}
    for stack in STACKS:
        folder = tmp_path_factory.mktemp("rendered") / stack
        write_tree(manifests(evaluated(stack)), folder)
        found[stack] = [finding for ask in ASK.values() for finding in ask(folder)]
    return found


@pytest.mark.parametrize("linter", ASK)
def test_a_linter_finds_what_is_plainly_wrong(linter: str, tmp_path: Path) -> None:
    shutil.copy(BAD, tmp_path / "bad.yaml")
    found = ASK[linter](tmp_path)
    assert {finding.check for finding in found} >= SERIOUS[linter]
    assert "Deployment/bad" in {finding.target for finding in found}


@pytest.mark.parametrize("stack", STACKS)
def test_linters_find_nothing_in_our_stacks(stack: str, findings: dict[str, list[Finding]]) -> None:
    unexpected = [
        finding for finding in findings[stack] if not any(row.covers(stack, finding) for row in ALLOWED)
    ]
    assert sorted(unexpected) == []


@pytest.mark.parametrize("row", ALLOWED, ids=lambda row: f"{row.linter}-{row.check}")
def test_nothing_is_allowed_that_nobody_finds(row: Allowed, findings: dict[str, list[Finding]]) -> None:
    assert any(row.covers(stack, finding) for stack, found in findings.items() for finding in found)
