"""The rules as Pulumi policies: a thin layer, all judgement is in `policies.rules`.

Every rule about single objects is a resource policy under its own id. The SDK deserialises the whole stack
anew for each stack policy, so those rules are grouped: one policy for the mandatory ones of a few families
together, one for all that only advise. What no rule can enforce is said aloud by policies of its own:
unknowns, exemptions.

The engine shows whole-stack policies what the cluster or the cloud answered, with every default it filled
in. Judged is what the program declares, which resource policies have seen before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, cast

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyConfigSchema,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy import Severity as SdkSeverity

from policies.evaluate import Result, Status, check_object, check_resource, check_stack
from policies.exemptions import exemptions_of
from policies.node import MalformedError
from policies.objects import Stack
from policies.pulumi_values import built_images, declared_resource, kind_of, kubernetes_object, unproxied
from policies.registry import FAMILIES, RULES
from policies.remedies import REMEDIES, Properties, remedied
from policies.rule import Enforcement, Options, Rule, Severity

_SEVERITIES: Final = tuple(Severity)
_STRINGS: Final = {"type": "array", "items": {"type": "string"}}
_COUNT: Final = {"type": "integer", "minimum": 0}
_SETTINGS: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    "allowed_registries": ("allowedRegistries", _STRINGS),
    "backup_days": ("backupDays", _COUNT),
    "drain_seconds": ("drainSeconds", _COUNT),
    "exposed_services": ("exposedServices", _STRINGS),
    "metrics_ports": ("metricsPorts", _STRINGS),
    "minimum_replicas": ("minimumReplicas", _COUNT),
}
"""Field of `Options` → its name and JSON schema in the pack's configuration."""

TOGETHER: Final[Mapping[str, str]] = {
    "workloads": "Workloads: what only the whole stack shows",
    "network": "Network policies and Services: what only the whole stack shows",
    "cloud": "The cloud's resources: what only the whole stack shows",
    "program": "The program: what comes before what",
    "mesh": "The mesh and its routes: what only the whole stack shows",
    "platform": "Data, metrics, MCP servers and agents: what only the whole stack shows",
}
"""The whole-stack policies for what is mandatory: name of a group of families → title."""

Declared = dict[str, Any]
"""URN → properties that the program gave the resource."""


def policies(environment: str) -> list[Policy]:
    """The pack's policies with the enforcement of "dev" or "prod"."""
    rules = [rule for rule in RULES.values() if not rule.check_stack]
    enabled = [rule for rule in rules if rule.in_environment(environment) is not Enforcement.DISABLED]
    declared: Declared = {}
    return [
        *(_resource_policy(rule, environment, declared) for rule in rules),
        _notices(
            "unverifiable",
            "Values that are not known yet can't be checked",
            enabled,
            Status.UNVERIFIABLE,
            declared,
        ),
        _notices("exempted", "Objects that are exempt from a rule", enabled, Status.EXEMPT, declared),
        *_stack_policies(environment, declared),
    ]


def options_for(environment: str, rules: Iterable[Rule], config: Mapping[str, Any]) -> Options:
    """The rules' options, with what the pack's configuration says about those that the rules take."""
    options = Options(environment=environment)
    for name in {name for rule in rules for name in rule.settings}:
        value = config.get(_SETTINGS[name][0])
        if isinstance(value, float):  # numbers are floats on the wire
            options = replace(options, **{name: int(value)})
        elif isinstance(value, list):
            options = replace(options, **{name: tuple(value)})
    return options


def _schema(rules: Iterable[Rule]) -> PolicyConfigSchema | None:
    settings = {name for rule in rules for name in rule.settings}
    return PolicyConfigSchema(dict(_SETTINGS[name] for name in sorted(settings))) if settings else None


def _resource_policy(rule: Rule, environment: str, declared: Declared) -> ResourceValidationPolicy:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        declared[args.urn] = args.props
        if not _is_about(rule, args.resource_type):
            return
        for result in _results_of(args, [rule], options_for(environment, [rule], args.get_config())):
            if result.status is Status.FAIL:
                report(f"{result.describe()}. {rule.remediation}", None)

    return ResourceValidationPolicy(
        name=rule.id,
        description=rule.title,
        validate=validate,
        enforcement_level=EnforcementLevel(rule.in_environment(environment).value),
        severity=SdkSeverity(rule.severity.value),
        config_schema=_schema([rule]),
        # The SDK's type forgets that a mapping need not be awaited.
        remediate=cast("Any", _remedy(rule)),
        tags=[rule.family, *rule.references],
        remediation_steps=rule.remediation,
    )


def _remedy(rule: Rule) -> Callable[[ResourceValidationArgs], Properties | None] | None:
    """What puts a violation right, where there is a remedy; asked for at level `remediate` only."""
    if rule.id not in REMEDIES:
        return None

    def remediate(args: ResourceValidationArgs) -> Properties | None:
        subject = kubernetes_object(args.resource_type, args.props, args.urn, args.name)
        if subject is None or (rule.kinds and subject.kind not in rule.kinds):
            return None
        if any(exemption.covers(rule.id, Options().today) for exemption in exemptions_of(subject)):
            return None
        with suppress(MalformedError):  # the rule itself says what is wrong there
            return remedied(rule.id, subject, unproxied(args.props))
        return None

    return remediate


def _notices(
    name: str, title: str, rules: list[Rule], status: Status, declared: Declared
) -> ResourceValidationPolicy:
    """An advisory policy that says which findings of the resource rules have this status."""

    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        declared[args.urn] = args.props
        about = [rule for rule in rules if _is_about(rule, args.resource_type)]
        for result in _results_of(args, about, Options()):
            if result.status is status:
                report(_with_id(result), None)

    return ResourceValidationPolicy(
        name=name,
        description=title,
        validate=validate,
        enforcement_level=EnforcementLevel.ADVISORY,
        severity=SdkSeverity.LOW,
    )


def _results_of(args: ResourceValidationArgs, rules: list[Rule], options: Options) -> Iterator[Result]:
    subject = kubernetes_object(args.resource_type, args.props, args.urn, args.name)
    resource = declared_resource(args, args.props)
    for rule in rules:
        if subject is not None:
            yield from check_object(rule, subject, options)
        yield from check_resource(rule, resource, options)


def _is_about(rule: Rule, resource_type: str) -> bool:
    return not rule.kinds or not rule.kinds.isdisjoint((kind_of(resource_type), resource_type))


def _stack_policies(environment: str, declared: Declared) -> Iterator[StackValidationPolicy]:
    rules = [rule for family in FAMILIES for rule in family.rules if rule.check_stack]
    for together, title in TOGETHER.items():
        names = {family.name for family in FAMILIES if family.together == together}
        mandatory = [
            rule
            for rule in rules
            if rule.family in names and rule.in_environment(environment) is Enforcement.MANDATORY
        ]
        level = EnforcementLevel.MANDATORY
        yield _stack_policy(f"{together}-of-stack", title, mandatory, environment, level, declared)
    enabled = [rule for rule in rules if rule.in_environment(environment) is not Enforcement.DISABLED]
    yield _stack_policy(
        "stack-advice",
        "What the whole stack shows, but no policy enforces",
        enabled,
        environment,
        EnforcementLevel.ADVISORY,
        declared,
    )


def _stack_policy(
    name: str, title: str, rules: list[Rule], environment: str, level: EnforcementLevel, declared: Declared
) -> StackValidationPolicy:
    """One policy for several whole-stack rules: it reports either what blocks, or everything else."""
    mandatory = level is EnforcementLevel.MANDATORY
    worst = max((rule.severity for rule in rules), key=_SEVERITIES.index)

    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        stack = _stack(args, declared)
        options = options_for(environment, rules, args.get_config())
        for rule in rules:
            for result in check_stack(rule, stack, options):
                if result.blocks is mandatory:
                    report(_with_id(result), result.subject.origin if result.subject else None)

    return StackValidationPolicy(
        name=name,
        description=title,
        validate=validate,
        enforcement_level=level,
        severity=SdkSeverity(worst.value) if mandatory else SdkSeverity.LOW,
        config_schema=_schema(rules),
    )


def _stack(args: StackValidationArgs, declared: Declared) -> Stack:
    properties = {item.urn: declared.get(item.urn, item.props) for item in args.resources}
    objects = (
        kubernetes_object(item.resource_type, properties[item.urn], item.urn, item.name)
        for item in args.resources
    )
    return Stack(
        tuple(item for item in objects if item is not None),
        # By their outputs, which have the digest.
        built_images=built_images((item.resource_type, item.props) for item in args.resources),
        resources=tuple(declared_resource(item, properties[item.urn]) for item in args.resources),
    )


def _with_id(result: Result) -> str:
    where = f"{result.subject.label}: " if result.subject else ""
    return f"{result.rule.id}: {where}{result.describe()}. {result.rule.remediation}"
