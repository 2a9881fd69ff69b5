"""What `preview`, `up`, `status` and `history` show, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from infra.engine.health import Check, Health, Service
from infra.engine.helm import Revision
from infra.engine.plan import Action, Plan, Step
from infra.engine.violation import Violation

_MARKS: Final = {
    Action.CREATE: ("+", "green"),
    Action.CHANGE: ("~", "yellow"),
    Action.DELETE: ("-", "red"),
    Action.KEEP: ("=", "blue"),
    Action.UNCHANGED: (" ", "dim"),
}
_SEVERITY_COLORS: Final = {
    "critical": "bold red",
    "high": "red",
    "medium": "yellow",
    "low": "cyan",
    "": "dim",
}


def print_plan(console: Console, plan: Plan) -> None:
    """What happens to each object that does not stay as it is, then the counts."""
    for step in plan.steps:
        if step.action is not Action.UNCHANGED:
            for line in _step_lines(step):
                console.print(line)
    for refusal in plan.refusals:
        console.print(Text(f"! {refusal}", style="red"))
    counts = ", ".join(f"{number} {name}" for name, number in plan.counts.items() if number)
    against = f"against {plan.context}" if plan.context else "against nothing (--offline)"
    console.print(Text(f"stack {plan.stack} {against}: {counts or 'no objects'}"))


def _step_lines(step: Step) -> Iterable[Text]:
    mark, color = _MARKS[step.action]
    place = f" in {step.namespace}" if step.namespace else ""
    note = f"  ({step.note})" if step.note else ""
    yield Text.assemble((f"{mark} {step.kind} {step.name}", color), (f"{place}{note}", "dim"))
    for change in step.changes:
        yield Text(f"    {change}")


def print_violations(console: Console, found: Sequence[Violation]) -> None:
    """By resource: policy, severity, message."""
    for urn, group in groupby(found, key=lambda item: item.urn):
        parts = urn.split("::")
        title = f"{parts[2].rpartition('$')[2]} {parts[3]}" if urn else "the stack"
        console.print(Text(title, style="bold"))
        for item in group:
            level = item.severity or item.enforcement
            advice = "" if item.mandatory else " (advice)"
            text = Text.assemble("  ", (level, _SEVERITY_COLORS[item.severity]), f" {item.policy}{advice}: ")
            console.print(text.append(item.message.strip()))


def plan_data(plan: Plan, found: Sequence[Violation]) -> dict[str, Any]:
    """The plan and what the policies say, for JSON."""
    return {**plan.as_data(), "violations": [asdict(item) for item in found]}


def print_health(console: Console, health: Health, url: str) -> None:
    """The services as a table, the gateway's address, the release."""
    print_services(console, health.services, url)
    console.print(Text(f"release: {_release(health.revision)}"))


def print_services(console: Console, services: Sequence[Service], url: str) -> None:
    """The services as a table, and the gateway's address."""
    table = Table("service", "kind", "ready", "restarts", "age", "trouble", box=None, header_style="bold")
    for item in services:
        color = "green" if item.ready >= item.wanted else "red"
        ready = Text(f"{item.ready}/{item.wanted}", style=color)
        age = "" if item.age is None else duration(item.age)
        table.add_row(item.name, item.kind, ready, str(item.restarts), age, Text(item.trouble))
    console.print(table)
    if url:
        console.print(Text(f"gateway: {url}"))


def _release(revision: Revision | None) -> str:
    if revision is None:
        return "none: not deployed yet, or not by mcpctl's direct way"
    return (
        f"revision {revision.number} {revision.status}, content {revision.content}, {revision.updated[:19]}"
    )


def print_history(console: Console, revisions: Sequence[Revision]) -> None:
    """The revisions, newest last."""
    table = Table("revision", "status", "content", "when", "remark", box=None, header_style="bold")
    for item in revisions:
        table.add_row(str(item.number), item.status, item.content, item.updated[:19], Text(item.description))
    console.print(table)


def print_check(console: Console, check: Check) -> None:
    """One line of `verify`."""
    mark = ("✓", "green") if check.ok else ("✗", "red")
    console.print(Text.assemble(mark, f" {check.what}: {check.detail}"))


def duration(seconds: float) -> str:
    """`90` as `1m`, as kubectl shows ages."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds)}s"
