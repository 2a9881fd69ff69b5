# ruff: noqa: D103 - a rule's title, beside its function, says what it checks
"""Exemptions from other rules are themselves checked."""

from __future__ import annotations

from typing import Final

from policies.exemptions import ANNOTATION, LONGEST, VALIDITY, BadExemption, annotation_of, read_exemptions
from policies.family import Family
from policies.objects import KubernetesObject
from policies.rule import Findings, Options, Severity, fail, forbid

FAMILY: Final = Family("exemptions", "Exemptions")


@FAMILY.object(
    VALIDITY,
    "Exemptions name a rule and a reason, and end within a year",
    Severity.HIGH,
    fix=f"Write `rule-id: reason (until YYYY-MM-DD)` into the annotation {ANNOTATION}, a line for each rule.",
)
def exemption_valid(subject: KubernetesObject, options: Options) -> Findings:
    from policies.registry import RULES  # noqa: PLC0415 - the registry is made of the families, this one included

    node = annotation_of(subject)
    if node.unknown:
        yield fail(node, "must be readable before the deployment")
    for pod in subject.pods():
        of_template = pod.metadata.at("annotations").key(ANNOTATION)
        if of_template.path != node.path:  # a Pod is its own template
            yield from forbid(of_template, lambda _: True, "excuses nothing here: it belongs on the object")
    for exemption in read_exemptions(subject):
        if isinstance(exemption, BadExemption):
            yield fail(node, f"{exemption.text!r} {exemption.problem}")
        elif exemption.rule not in RULES or exemption.rule == VALIDITY:
            yield fail(node, f"there is no rule {exemption.rule} to be exempt from")
        elif exemption.until < options.today:
            yield fail(node, f"the exemption from {exemption.rule} ended on {exemption.until}")
        elif exemption.until > options.today + LONGEST:
            yield fail(node, f"the exemption from {exemption.rule} must end within a year")
