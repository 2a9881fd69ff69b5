"""The alerts fire when they should, say what they should, and keep quiet otherwise: by promtool itself."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from infra.cluster import packages, silent
from tests.infra.monitoring.case import Case
from tests.infra.monitoring.cases import CASES
from tests.infra.monitoring.example import RUNBOOKS, alerts, groups, objects

Group = dict[str, Any]

PAGES = Path(__file__).resolve().parents[3] / "docs" / "runbooks"
SHARES = [
    (it["alert"], it["labels"].get("window", ""), threshold)
    for it in alerts()
    for threshold in dict.fromkeys(re.findall(r"[<>] (0\.\d+)", it["expr"]))
]
"""Every threshold that is a share: alert, window, number."""
HEADINGS = ("## What it means", "## How to look", "## What to do")


@pytest.fixture(scope="session", autouse=True)
def installed() -> None:
    packages.ensure({"promtool": ["prometheus"]}, silent, "this test")


def promtool(*arguments: str | Path) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def rule_of(case: Case, labels: dict[str, str]) -> dict[str, Any]:
    """The alerting rule that a case is about; of several of the same name, by what tells them apart."""
    (found,) = (
        it
        for it in alerts()
        if it["alert"] == case.alert
        and all(it["labels"].get(label) == labels.get(label) for label in ("window", "signal"))
    )
    return found


def expected(case: Case) -> list[dict[str, Any]]:
    return [
        {
            "exp_labels": {**(own := rule_of(case, dict(labels)))["labels"], **labels},
            "exp_annotations": {"summary": says, "runbook_url": own["annotations"]["runbook_url"]},
        }
        for says, labels in zip(case.says, case.labels, strict=True)
    ]


def around(alert: str) -> list[Group]:
    """The groups of the object that an alert is in, without the other alerts: all that it is made of."""
    (found,) = (
        it for it in objects() if any(rule.get("alert") == alert for group in it for rule in group["rules"])
    )
    return [
        {**group, "rules": [rule for rule in group["rules"] if rule.get("alert", alert) == alert]}
        for group in found
    ]


def run_cases(cases: Sequence[Case], rules: list[Group], folder: Path) -> None:
    """Have promtool try them; fails where an alert doesn't do what its case says."""
    file, trials = folder / "rules.yaml", folder / "test.yaml"
    file.write_text(json.dumps({"groups": rules}))
    tests = [trial(case) for case in cases]
    slowly = all(case.at.endswith("h") for case in cases)
    content = {"rule_files": [str(file)], "evaluation_interval": "5m" if slowly else "1m", "tests": tests}
    trials.write_text(json.dumps(content))
    promtool("test", "rules", trials)


def trial(case: Case) -> dict[str, Any]:
    return {
        "interval": "1m",
        "input_series": [
            {
                "series": name if "namespace=" in name else name.replace("{", '{namespace="mcp-test",', 1),
                "values": values,
            }
            for name, values in case.series.items()
        ],
        "alert_rule_test": [{"eval_time": case.at, "alertname": case.alert, "exp_alerts": expected(case)}],
    }


def test_the_rules_are_rules(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(json.dumps({"groups": groups()}))
    promtool("check", "rules", file)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.alert}: {case.what}")
def test_an_alert_fires_when_it_should_and_only_then(case: Case, tmp_path: Path) -> None:
    run_cases([case], around(case.alert), tmp_path)


@pytest.mark.parametrize("factor", [0.5, 2])
@pytest.mark.parametrize("share", SHARES, ids=lambda share: f"{share[0]} {share[2]}")
def test_the_cases_hold_the_thresholds(share: tuple[str, str, str], factor: float, tmp_path: Path) -> None:
    name, window, threshold = share
    changed = around(name)
    for rule in (it for group in changed for it in group["rules"] if it.get("alert") == name):
        if rule["labels"].get("window", "") == window:
            number = f"{float(threshold) * factor}"
            rule["expr"] = re.sub(rf"([<>]) {re.escape(threshold)}\b", rf"\1 {number}", rule["expr"])
    assert changed != around(name)
    with pytest.raises(AssertionError, match="alertname"):
        run_cases([case for case in CASES if case.alert == name], changed, tmp_path)


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
