"""docs/policies.md is what the registry says."""

from __future__ import annotations

from pathlib import Path

from cli.policy_reference import reference
from policies.registry import RULES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "policies.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == reference(), "run `make docs`"


def test_every_rule_has_a_row_of_whole_cells() -> None:
    rows = [line for line in reference().splitlines() if line.startswith("| `")]
    assert len(rows) == len(RULES)
    assert all(row.replace("\\|", "").count("|") == 6 for row in rows)
