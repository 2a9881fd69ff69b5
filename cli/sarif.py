"""SARIF 2.1.0, which code hosts show beside the lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

from policies.rule import Rule

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"


def log(
    driver: str, rules: Iterable[Mapping[str, Any]], results: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    """One run of one tool."""
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": {"name": driver, "rules": list(rules)}}, "results": list(results)}],
    }


def rule_facts(rule: Rule) -> dict[str, Any]:
    """What a result's rule is about."""
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "help": {"text": rule.remediation},
        "properties": {"tags": [rule.family, *rule.references], "problem.severity": rule.severity.value},
    }


def location(file: str, line: int) -> dict[str, Any]:
    """A place in a file; "" is the whole of what was checked."""
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": quote(file) or "."},
            "region": {"startLine": line},
        }
    }
