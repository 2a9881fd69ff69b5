"""A policy check's results for people, programs and code hosts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from cli import sarif
from cli.policy_files import Source
from policies.evaluate import Result, Status
from policies.objects import KubernetesObject, Subject
from policies.rule import Enforcement, Rule, Severity

_COLORS: Final = {
    Severity.CRITICAL: "bold red",
    Severity.HIGH: "red",
    Severity.MEDIUM: "yellow",
    Severity.LOW: "cyan",
}


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a check found.

    Attributes:
        results: What the rules said, in their order.
        sources: Each object and where it was read.
        rules: How many rules were asked.
        unasked: How many rules are about what a program declares, which files don't show.
        unchecked: How many objects there are of each kind that no rule is about.
        skipped: Files that hold no Kubernetes objects.
    """

    results: Sequence[Result]
    sources: Mapping[KubernetesObject, Source]
    rules: int
    unasked: int
    unchecked: Mapping[str, int]
    skipped: Sequence[str]

    @property
    def findings(self) -> int:
        """How many results stop a deployment."""
        return sum(result.blocks for result in self.results)

    def _file(self, result: Result) -> str:
        source = self._source(result)
        return source.file if source else ""

    def _line(self, result: Result) -> int:
        source = self._source(result)
        return source.line(result.finding.path) if source else 1

    def _source(self, result: Result) -> Source | None:
        """Where the object was read; None for what a rule says of the whole stack."""
        return self.sources[result.subject] if isinstance(result.subject, KubernetesObject) else None

    def print(self, console: Console) -> None:
        """For people: by object, then what was counted."""
        order: dict[Subject | None, int] = {item: number for number, item in enumerate(self.sources)}
        by_object = sorted(self.results, key=lambda result: order.get(result.subject, -1))
        for subject, results in groupby(by_object, key=lambda result: result.subject):
            title = f"{subject.label}  {subject.origin}" if subject else "the stack"
            console.print(Text(title, style="bold"))
            for result in results:
                console.print(self._describe(result))
        console.print(Text(self._summary()))

    def _describe(self, result: Result) -> Text:
        kind = result.status.value if result.status is not Status.FAIL else result.rule.severity.value
        advice = " (advice)" if result.enforcement is Enforcement.ADVISORY else ""
        return Text.assemble(
            "  ",
            (kind, _COLORS[result.rule.severity] if result.status is Status.FAIL else "dim"),
            f" {result.rule.id}{advice}: line {self._line(result)}: {result.describe()}",
            (f"\n      {result.rule.remediation}" if result.status is Status.FAIL else "", "dim"),
        )

    def _summary(self) -> str:
        counts = self._counts()
        text = f"{self.rules} rules, {len(self.sources)} objects: " + ", ".join(
            f"{number} {name}" for name, number in counts.items()
        )
        if self.unasked:
            text += (
                f"\nnot asked: {self.unasked} rules about the program and its cloud; `mcpctl preview` does"
            )
        if self.unchecked:
            kinds = ", ".join(f"{kind} ({number})" for kind, number in self.unchecked.items())
            text += f"\nnot checked, except by the rules about every kind: {kinds}"
        if self.skipped:
            text += f"\nnot checked, no Kubernetes objects: {', '.join(self.skipped)}"
        return text

    def _counts(self) -> dict[str, int]:
        statuses = Counter(result.status for result in self.results)
        return {
            "findings": self.findings,
            "advice": statuses[Status.FAIL] - self.findings,
            "exempt": statuses[Status.EXEMPT],
            "unverifiable": statuses[Status.UNVERIFIABLE],
        }

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            **self._counts(),
            "rules": self.rules,
            "unasked": self.unasked,
            "objects": len(self.sources),
            "unchecked": dict(self.unchecked),
            "skipped": list(self.skipped),
            "results": [
                {
                    "rule": result.rule.id,
                    "family": result.rule.family,
                    "severity": result.rule.severity.value,
                    "enforcement": result.enforcement.value,
                    "status": result.status.value,
                    "object": result.subject.label if result.subject else "",
                    "file": self._file(result),
                    "line": self._line(result),
                    "path": result.path,
                    "message": result.finding.message,
                    "remediation": result.rule.remediation,
                    **_exemption(result),
                }
                for result in self.results
            ],
        }

    def as_sarif(self) -> dict[str, Any]:
        """SARIF 2.1.0, which code hosts show beside the lines."""
        rules = {result.rule.id: result.rule for result in self.results}
        return sarif.log(
            "mcpctl policy",
            [sarif.rule_facts(rule) for rule in rules.values()],
            [self._sarif_result(result) for result in self.results],
        )

    def _sarif_result(self, result: Result) -> dict[str, Any]:
        subject = f"{result.subject.label}: " if result.subject else ""
        suppressions = (
            [{"kind": "inSource", "justification": result.exemption.reason}] if result.exemption else []
        )
        return {
            "ruleId": result.rule.id,
            "level": "error" if result.blocks else "warning" if result.status is Status.FAIL else "note",
            "message": {"text": f"{subject}{result.describe()}"},
            "locations": [sarif.location(self._file(result), self._line(result))],
            "suppressions": suppressions,
        }


def rule_facts(rule: Rule) -> dict[str, Any]:
    """All that is known about a rule, as `mcpctl policy list --json` prints it."""
    return {
        "id": rule.id,
        "family": rule.family,
        "title": rule.title,
        "severity": rule.severity.value,
        "enforcement": {name: level.value for name, level in rule.enforcement.items()},
        "scope": "stack" if rule.check_stack else "object",
        "program": rule.program,
        "kinds": sorted(rule.kinds),
        "references": list(rule.references),
        "remediation": rule.remediation,
        "settings": list(rule.settings),
    }


def _exemption(result: Result) -> dict[str, Any]:
    if result.exemption is None:
        return {}
    return {"exemption": {"reason": result.exemption.reason, "until": str(result.exemption.until)}}
