# ruff: noqa: D103 - a rule's title, beside its function, says what it checks
"""Autoscalers, Kubernetes' own and KEDA's: one for a workload, with room, patience and safe credentials."""

from __future__ import annotations

from typing import Final

from policies.family import Family
from policies.matching import every
from policies.node import UNKNOWN, Node
from policies.objects import KubernetesObject, Stack, same_name
from policies.rule import Findings, Options, Severity, about, fail, forbid, require, require_any
from policies.rules.secrets import names_secret
from policies.scalers import (
    HPA,
    SCALED,
    SCALED_OBJECT,
    SCALERS,
    highest,
    is_target,
    lowest,
    scaler_of,
    scalers_of,
)

FAMILY: Final = Family("scaling", "Autoscaling")

_AUTHENTICATION: Final = "TriggerAuthentication.keda.sh"


@FAMILY.stack(
    "autoscaler-owns-replicas",
    "A workload with an autoscaler doesn't set replicas itself",
    Severity.MEDIUM,
    *SCALED,
    *SCALERS,
    fix="Remove spec.replicas: every deployment would otherwise undo the autoscaler.",
    references=("kube-score: deployment-targeted-by-hpa-does-not-have-replicas-configured",),
)
def autoscaler_owns_replicas(stack: Stack, _options: Options) -> Findings:
    for workload in stack.of_kind(*SCALED):
        scaler, sure = scaler_of(stack, workload)
        replicas = workload.node.at("spec.replicas")
        if scaler and not replicas.absent:
            place = replicas if sure else Node(UNKNOWN, replicas.path)
            yield fail(place, "is the autoscaler's to set", workload)


@FAMILY.stack(
    "autoscaler-alone",
    "A workload has one autoscaler",
    Severity.HIGH,
    *SCALED,
    *SCALERS,
    fix="Remove one of them: KEDA makes an HorizontalPodAutoscaler of its own, and two undo each other.",
)
def autoscaler_alone(stack: Stack, _options: Options) -> Findings:
    for workload in stack.of_kind(*SCALED):
        found = sorted(scalers_of(stack, workload), key=lambda item: not item[1])
        for scaler, sure in found[1:]:
            field = scaler.node.at("spec.scaleTargetRef")
            both = sure and found[0][1]
            yield fail(field if both else Node(UNKNOWN, field.path), "has another autoscaler", scaler)


@FAMILY.stack(
    "autoscaler-target",
    "Every autoscaler has a target in the stack",
    Severity.HIGH,
    *SCALERS,
    fix="Correct spec.scaleTargetRef.",
    references=("kube-score: horizontalpodautoscaler-has-target",),
)
def autoscaler_target(stack: Stack, _options: Options) -> Findings:
    for scaler in stack.of_kind(*SCALERS):
        yield from require_any(
            [is_target(scaler, workload) for workload in stack.of_kind(*SCALED)],
            scaler.node.at("spec.scaleTargetRef"),
            "is no Deployment or StatefulSet of the stack",
            scaler,
        )


@FAMILY.object(
    "autoscaler-range",
    "Autoscalers have room to scale",
    Severity.MEDIUM,
    *SCALERS,
    fix="Set the greatest number of replicas above the least.",
)
def autoscaler_range(subject: KubernetesObject, _options: Options) -> Findings:
    least, most = lowest(subject), highest(subject)
    number = least.integer()
    above = number is not None and (most.integer() or 0) > number
    uncertain = Node(UNKNOWN, most.path) if least.unknown else most
    yield from require(uncertain, lambda _: above, f"must be above the minimum, {number}")


@FAMILY.object(
    "autoscaler-behavior",
    "Autoscalers say how fast they scale down",
    Severity.LOW,
    *SCALERS,
    fix="Set behavior.scaleDown (KEDA: advanced.horizontalPodAutoscalerConfig.behavior.scaleDown).",
)
def autoscaler_behavior(subject: KubernetesObject, _options: Options) -> Findings:
    path = "behavior" if subject.kind == HPA else "advanced.horizontalPodAutoscalerConfig.behavior"
    yield from require(subject.node.at(f"spec.{path}").key("scaleDown"), bool, "must be set")


@FAMILY.object(
    "scaler-credentials",
    "No credential is written into a trigger",
    Severity.CRITICAL,
    SCALED_OBJECT,
    "ScaledJob.keda.sh",
    fix="Move it to a Secret that a TriggerAuthentication names.",
)
def scaler_credentials(subject: KubernetesObject, _options: Options) -> Findings:
    for trigger in subject.node.at("spec.triggers").items():
        for name, value in trigger.key("metadata").entries():
            # passwordFromEnv names a variable of the target's
            if value.unknown or (names_secret(name) and not name.endswith("FromEnv")):
                yield from forbid(value, bool, "is a credential in plain text")


@FAMILY.stack(
    "scaler-authentication",
    "What triggers log in with is in the stack",
    Severity.HIGH,
    SCALED_OBJECT,
    _AUTHENTICATION,
    fix="Declare the TriggerAuthentication that authenticationRef names, in the same namespace.",
)
def scaler_authentication(stack: Stack, _options: Options) -> Findings:
    for scaler in stack.of_kind(SCALED_OBJECT):
        for trigger in scaler.node.at("spec.triggers").items():
            reference = trigger.key("authenticationRef")
            if not reference.absent and reference.key("kind").value in (
                None,
                "TriggerAuthentication",
                UNKNOWN,
            ):
                yield from about(scaler, _declared(stack, scaler, reference.key("name")))


def _declared(stack: Stack, scaler: KubernetesObject, name: Node) -> Findings:
    wanted = UNKNOWN if name.unknown else str(name.value)
    answers = [
        every([same_name(item.name, wanted), same_name(item.namespace, scaler.namespace)])
        for item in stack.of_kind(_AUTHENTICATION)
    ]
    if wanted is UNKNOWN:
        yield fail(name, "must name a TriggerAuthentication of the stack")
    else:
        yield from require_any(answers, name, f"{wanted} is no TriggerAuthentication of the stack")
