# ruff: noqa: D103 - a rule's title, beside its function, says what it checks
"""Exemptions from other rules are themselves checked."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from policies.exemptions import ANNOTATION, BadExemption, annotation_of, read_exemptions
from policies.family import Family
from policies.objects import KubernetesObject
from policies.rule import Findings, Options, Severity, fail

FAMILY: Final = Family("exemptions", "Exemptions")

_LONGEST: Final = timedelta(days=366)


@FAMILY.object(
    "exemption-valid",
    "Exemptions name a rule and a reason, and end within a year",
    Severity.HIGH,
    fix=f"Write `rule-id: reason (until YYYY-MM-DD)` into the annotation {ANNOTATION}, a line for each rule.",
)
def exemption_valid(subject: KubernetesObject, options: Options) -> Findings:
    from policies.registry import RULES  # noqa: PLC0415 - the registry is made of the families, this one included

    node = annotation_of(subject)
    if node.unknown:
        yield fail(node, "must be readable before the deployment")
    for exemption in read_exemptions(subject):
        if isinstance(exemption, BadExemption):
            yield fail(node, f"{exemption.text!r} {exemption.problem}")
        elif exemption.rule not in RULES or exemption.rule == "exemption-valid":
            yield fail(node, f"there is no rule {exemption.rule} to be exempt from")
        elif exemption.until < options.today:
            yield fail(node, f"the exemption from {exemption.rule} ended on {exemption.until}")
        elif exemption.until > options.today + _LONGEST:
            yield fail(node, f"the exemption from {exemption.rule} must end within a year")
