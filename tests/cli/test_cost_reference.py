"""docs/costs.md is what the program and the prices say."""

from __future__ import annotations

from pathlib import Path

from cli.cost_reference import reference

PAGE = Path(__file__).resolve().parents[2] / "docs" / "costs.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == reference(), "run `make docs`"


def test_every_component_that_runs_all_the_time_has_a_price() -> None:
    rows = dict(line.split(" | ", 1) for line in reference().splitlines() if line.startswith("| "))
    assert {"| gateway", "| filesystem", "| **together**"} <= rows.keys()
