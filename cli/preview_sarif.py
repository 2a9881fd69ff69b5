"""A comparison of two revisions as SARIF: findings at the lines that declare the objects."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

from cli import sarif
from cli.preview_report import Report
from cli.preview_words import object_words, visible
from infra.comparison.object_changes import ObjectChange
from infra.engine.graph import Resource
from infra.engine.stack_file import line_of_part
from infra.engine.violation import Violation
from policies.registry import RULES

LOSS: Final = "unacknowledged-loss"
_LOSS_RULE: Final = {
    "id": LOSS,
    "shortDescription": {"text": "What holds data is deleted or replaced only with somebody's word for it"},
    "help": {"text": "Acknowledge it as KIND/NAME, or keep the object."},
    "properties": {"tags": ["preview"], "problem.severity": "critical"},
}


def as_sarif(report: Report) -> dict[str, Any]:
    """New and unchanged findings, and losses; what is fixed is absent, as code hosts expect it."""
    places = _Places(report)
    found = report.compared.policies
    results = [_loss(report, item, places, suppressed=False) for item in report.pending]
    results += [_loss(report, item, places, suppressed=True) for item in report.acknowledged]
    results += [_finding(item, "new", places) for item in found.new]
    results += [_finding(item, "unchanged", places) for item in found.unchanged]
    rules = [_rule(name) for name in dict.fromkeys(result["ruleId"] for result in results)]
    return sarif.log("mcpctl preview", rules, results)


class _Places:
    """Where the objects are declared: the line of the program, and the setting of the stack behind it."""

    def __init__(self, report: Report) -> None:
        compared = report.compared
        self._stack_file = compared.new.revision.root / f"Pulumi.{compared.stack}.yaml"
        self._project = compared.new.graph.project
        self._resources = {item.urn: item for item in compared.new.graph.resources}

    def of(self, urn: str, source: str = "") -> dict[str, Any]:
        """`locations`, and `relatedLocations` where a setting of the stack is named like the object."""
        resource = self._resources.get(urn)
        setting = self._setting(resource) if resource else None
        file, _, line = (source or (resource.source if resource else "")).rpartition(":")
        if not (file and (self._stack_file.parent / file).is_file()):  # the old revision's may be gone
            return {"locations": [self._in_stack(setting or 1)]}
        places: dict[str, Any] = {"locations": [sarif.location(file, int(line))]}
        if setting:
            text = {"text": "the setting that it follows from"}
            places["relatedLocations"] = [{**self._in_stack(setting), "message": text}]
        return places

    def _in_stack(self, line: int) -> dict[str, Any]:
        return sarif.location(Path(self._stack_file).name, line)

    def _setting(self, resource: Resource) -> int | None:
        """The line of the setting that is called as the resource or one of the components around it."""
        names: list[str] = []
        item: Resource | None = resource
        while item:
            names.append(item.name)
            item = self._resources.get(item.parent)
        return line_of_part(self._stack_file, self._project, names)


def _loss(report: Report, item: ObjectChange, places: _Places, *, suppressed: bool) -> dict[str, Any]:
    needed = report.needed(item)
    why = f" for {', '.join(item.reasons)}" if item.reasons else ""
    text = f"{needed} is {item.operation}d{why}"
    done: dict[str, Any] = {"suppressions": [{"kind": "external", "justification": "acknowledged"}]}
    return {
        "ruleId": LOSS,
        "level": "note" if suppressed else "error",
        "message": {"text": visible(text)},
        "baselineState": "new",
        **places.of(item.urn, item.source),
        "partialFingerprints": _fingerprint(LOSS, needed, item.operation),
        **(done if suppressed else {}),
    }


def _finding(item: Violation, state: str, places: _Places) -> dict[str, Any]:
    return {
        "ruleId": item.policy,
        "level": "error" if item.mandatory else "warning",
        "message": {"text": visible(f"{object_words(item)}: {item.message.strip()}")},
        "baselineState": state,
        **places.of(item.urn),
        "partialFingerprints": _fingerprint(item.policy, item.urn, item.message),
    }


def _fingerprint(*parts: str) -> dict[str, str]:
    """By which a code host knows a finding again when lines have moved."""
    return {"mcpctl/v1": hashlib.sha256("\0".join(parts).encode()).hexdigest()}


def _rule(name: str) -> dict[str, Any]:
    if name == LOSS:
        return dict(_LOSS_RULE)
    return sarif.rule_facts(RULES[name]) if name in RULES else {"id": name}
