"""Families: where rules are declared, each beside its function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Required, TypedDict, Unpack

from policies.objects import POD_KINDS, KubernetesObject
from policies.rule import (
    Enforcement,
    Findings,
    ObjectCheck,
    Options,
    PodCheck,
    ResourceCheck,
    Rule,
    Severity,
    StackCheck,
)


class Facts(TypedDict, total=False):
    """What a rule's declaration says beside id, title and severity.

    `fix` says how to put a violation right; `dev` and `prod` are the enforcement there, mandatory unless
    told; `settings` names the `Options` fields that a user may set for the rule.
    """

    fix: Required[str]
    references: tuple[str, ...]
    dev: Enforcement
    prod: Enforcement
    settings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Family:
    """Rules about one subject. The decorators add to `rules` and return the function as it was.

    Attributes:
        together: Which of the pack's few whole-stack policies has the family's whole-stack rules.
    """

    name: str
    title: str
    together: str = "workloads"
    rules: list[Rule] = field(default_factory=list[Rule])

    def pod(
        self, id_: str, title: str, severity: Severity, **facts: Unpack[Facts]
    ) -> Callable[[PodCheck], PodCheck]:
        """Declare a rule about every pod, wherever its template is."""

        def declare(check: PodCheck) -> PodCheck:
            def check_object(subject: KubernetesObject, options: Options) -> Findings:
                for pod in subject.pods():
                    yield from check(pod, options)

            self._add(id_, title, severity, facts, kinds=POD_KINDS, check_object=check_object)
            return check

        return declare

    def object(
        self, id_: str, title: str, severity: Severity, *kinds: str, **facts: Unpack[Facts]
    ) -> Callable[[ObjectCheck], ObjectCheck]:
        """Declare a rule about objects of `kinds` (`Deployment.apps`); of every kind when none is named."""

        def declare(check: ObjectCheck) -> ObjectCheck:
            self._add(id_, title, severity, facts, kinds=frozenset(kinds), check_object=check)
            return check

        return declare

    def stack(
        self, id_: str, title: str, severity: Severity, *kinds: str, **facts: Unpack[Facts]
    ) -> Callable[[StackCheck], StackCheck]:
        """Declare a rule about all of a stack's objects together, those of `kinds` above all."""

        def declare(check: StackCheck) -> StackCheck:
            self._add(id_, title, severity, facts, kinds=frozenset(kinds), check_stack=check)
            return check

        return declare

    def resource(
        self, id_: str, title: str, severity: Severity, *types: str, **facts: Unpack[Facts]
    ) -> Callable[[ResourceCheck], ResourceCheck]:
        """Declare a rule about resources of `types` (`aws:s3/bucket:Bucket`); of all when none is named."""

        def declare(check: ResourceCheck) -> ResourceCheck:
            self._add(id_, title, severity, facts, kinds=frozenset(types), program=True, check_resource=check)
            return check

        return declare

    def program(
        self, id_: str, title: str, severity: Severity, *types: str, **facts: Unpack[Facts]
    ) -> Callable[[StackCheck], StackCheck]:
        """Declare a rule about all of a program's resources together, those of `types` above all."""

        def declare(check: StackCheck) -> StackCheck:
            self._add(id_, title, severity, facts, kinds=frozenset(types), program=True, check_stack=check)
            return check

        return declare

    def _add(
        self,
        id_: str,
        title: str,
        severity: Severity,
        facts: Facts,
        *,
        kinds: frozenset[str] = frozenset(),
        program: bool = False,
        check_object: ObjectCheck | None = None,
        check_resource: ResourceCheck | None = None,
        check_stack: StackCheck | None = None,
    ) -> None:
        self.rules.append(
            Rule(
                id=id_,
                family=self.name,
                title=title,
                severity=severity,
                remediation=facts["fix"],
                references=facts.get("references", ()),
                enforcement={
                    "dev": facts.get("dev", Enforcement.MANDATORY),
                    "prod": facts.get("prod", Enforcement.MANDATORY),
                },
                kinds=kinds,
                settings=facts.get("settings", ()),
                program=program,
                check_object=check_object,
                check_resource=check_resource,
                check_stack=check_stack,
            )
        )
