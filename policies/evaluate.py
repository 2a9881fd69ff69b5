"""Run rules over objects: pure, without Pulumi, the same for the pack and for `mcpctl policy check`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from policies.exemptions import Exemption, exemptions_of
from policies.node import MalformedError, json_path
from policies.objects import KubernetesObject, Stack, Subject
from policies.program import Resource
from policies.rule import Enforcement, Finding, Findings, Options, Rule, Verdict, malformed


class Status(Enum):
    """What became of a finding."""

    FAIL = "fail"
    UNVERIFIABLE = "unverifiable"
    EXEMPT = "exempt"


@dataclass(frozen=True, slots=True)
class Result:
    """A finding in its place.

    Attributes:
        subject: The object or resource; None where a whole-stack rule speaks of the stack.
        exemption: What excuses it, when the status is exempt.
    """

    rule: Rule
    subject: Subject | None
    finding: Finding
    status: Status
    enforcement: Enforcement
    exemption: Exemption | None = None

    @property
    def blocks(self) -> bool:
        """This result stops a deployment."""
        return self.status is Status.FAIL and self.enforcement is Enforcement.MANDATORY

    @property
    def path(self) -> str:
        """JSON path of the field."""
        return json_path(self.finding.path)

    def describe(self) -> str:
        """`$.spec.replicas: must be 2 or more`, with why it is exempt or can't be checked."""
        text = f"{self.path}: {self.finding.message}"
        if self.status is Status.UNVERIFIABLE:
            return f"{text} (can't be verified: the value is not known before the deployment)"
        if self.exemption is not None:
            return f"{text} (exempt until {self.exemption.until}: {self.exemption.reason})"
        return text


def check_object(rule: Rule, subject: KubernetesObject, options: Options) -> Iterator[Result]:
    """What one rule says about one object; nothing for a whole-stack rule or another kind."""
    if rule.check_object is None or (rule.kinds and subject.kind not in rule.kinds):
        return
    for finding in _guarded(rule.check_object(subject, options)):
        yield _result(rule, finding, subject, options)


def check_resource(rule: Rule, subject: Resource, options: Options) -> Iterator[Result]:
    """What one rule says about one resource of a program; nothing for another type or sort of rule."""
    if rule.check_resource is None or (rule.kinds and subject.type not in rule.kinds):
        return
    for finding in _guarded(rule.check_resource(subject, options)):
        yield _result(rule, finding, subject, options)


def check_stack(rule: Rule, stack: Stack, options: Options) -> Iterator[Result]:
    """What one whole-stack rule says about a stack; nothing for a rule about single objects."""
    if rule.check_stack is None:
        return
    for finding in _guarded(rule.check_stack(stack, options)):
        yield _result(rule, finding, finding.subject, options)


def evaluate(stack: Stack, rules: Iterable[Rule], options: Options) -> list[Result]:
    """What the rules that are not disabled in this environment say about all objects."""
    results: list[Result] = []
    for rule in rules:
        if rule.in_environment(options.environment) is Enforcement.DISABLED:
            continue
        if rule.check_object:
            for subject in stack.of_kind(*sorted(rule.kinds)) if rule.kinds else stack.objects:
                results.extend(check_object(rule, subject, options))
        if rule.check_resource:
            for resource in stack.of_type(*rule.kinds) if rule.kinds else stack.resources:
                results.extend(check_resource(rule, resource, options))
        results.extend(check_stack(rule, stack, options))
    return results


def _guarded(findings: Iterable[Finding]) -> Findings:
    """The findings, ending in one more when a field is malformed."""
    try:
        yield from findings
    except MalformedError as error:
        yield malformed(error)


def _result(rule: Rule, finding: Finding, subject: Subject | None, options: Options) -> Result:
    enforcement = rule.in_environment(options.environment)
    if finding.verdict is Verdict.UNVERIFIABLE:
        return Result(rule, subject, finding, Status.UNVERIFIABLE, enforcement)
    if isinstance(subject, KubernetesObject):  # nothing else has annotations
        for exemption in exemptions_of(subject):
            if exemption.covers(rule.id, options.today):
                return Result(rule, subject, finding, Status.EXEMPT, enforcement, exemption)
    return Result(rule, subject, finding, Status.FAIL, enforcement)
