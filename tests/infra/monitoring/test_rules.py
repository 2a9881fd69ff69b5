"""The alerts fire when they should, say what they should, and keep quiet otherwise: by promtool itself."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from infra.cluster import packages, silent
from tests.infra.monitoring.cases import CASES, Case
from tests.infra.monitoring.example import RUNBOOKS, alerts, groups

PAGES = Path(__file__).resolve().parents[3] / "docs" / "runbooks"
HEADINGS = ("## What it means", "## How to look", "## What to do")


@pytest.fixture(scope="session")
def rule_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    packages.ensure({"promtool": ["prometheus"]}, silent, "this test")
    path = tmp_path_factory.mktemp("rules") / "rules.yaml"
    path.write_text(json.dumps({"groups": groups()}))
    return path


def promtool(*arguments: str | Path) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def rule(case: Case, labels: dict[str, str]) -> dict[str, Any]:
    """The alerting rule that a case is about; of several of the same name, by its window."""
    (found,) = (
        it
        for it in alerts()
        if it["alert"] == case.alert and it["labels"].get("window") == labels.get("window")
    )
    return found


def expected(case: Case) -> list[dict[str, Any]]:
    return [
        {
            "exp_labels": {**(own := rule(case, dict(labels)))["labels"], **labels},
            "exp_annotations": {"summary": says, "runbook_url": own["annotations"]["runbook_url"]},
        }
        for says, labels in zip(case.says, case.labels, strict=True)
    ]


def test_the_rules_are_rules(rule_file: Path) -> None:
    promtool("check", "rules", rule_file)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.alert}: {case.what}")
def test_an_alert_fires_when_it_should_and_only_then(case: Case, rule_file: Path, tmp_path: Path) -> None:
    trial = {
        "interval": "1m",
        "input_series": [
            {"series": name.replace("{", '{namespace="mcp-test",', 1), "values": values}
            for name, values in case.series.items()
        ],
        "alert_rule_test": [{"eval_time": case.at, "alertname": case.alert, "exp_alerts": expected(case)}],
    }
    path = tmp_path / "test.yaml"
    path.write_text(
        json.dumps({"rule_files": [str(rule_file)], "evaluation_interval": "1m", "tests": [trial]})
    )
    promtool("test", "rules", path)


def test_every_alert_has_cases_in_which_it_fires_and_in_which_it_keeps_quiet() -> None:
    names = {it["alert"] for it in alerts()}
    assert {case.alert for case in CASES if case.says} == names
    assert {case.alert for case in CASES if not case.says} == names
    windows = {labels["window"] for case in CASES for labels in case.labels if "window" in labels}
    assert windows == {it["labels"]["window"] for it in alerts() if "window" in it["labels"]}


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    links = {it["annotations"]["runbook_url"] for it in alerts()}
    pages = {path for path in PAGES.glob("*.md") if path.name != "README.md"}
    assert links == {f"{RUNBOOKS}/{path.name}" for path in pages}
    overview = (PAGES / "README.md").read_text()
    for path in pages:
        text = path.read_text()
        assert text.startswith(f"# {path.stem}\n")
        assert [line for line in text.splitlines() if line.startswith("## ")] == list(HEADINGS), path.name
        assert f"({path.name})" in overview
