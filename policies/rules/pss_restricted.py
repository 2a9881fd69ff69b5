# ruff: noqa: D103 - a rule's title, beside its function, says what it checks
"""Pod Security Standards, level restricted: what it asks beyond baseline (see `pss_baseline`)."""

from __future__ import annotations

from typing import Final

from policies.family import Family
from policies.node import Node
from policies.objects import Pod
from policies.rule import Findings, Options, Severity, fail, forbid, none_of, require
from policies.rules.pss_baseline import proc_masks, security_contexts

FAMILY: Final = Family("pss-restricted", "Pod Security Standards: restricted")

_VOLUME_TYPES: Final = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)


def _windows_exempt(pod: Pod, options: Options) -> bool:
    """Since 1.25 a pod that says it runs on Windows need not set what Windows lacks."""
    return options.kubernetes >= (1, 25) and pod.windows


@FAMILY.pod(
    "pss-volume-types",
    "Only volume types that hold no path to the node or a raw network store",
    Severity.HIGH,
    fix="Use a configMap, csi, downwardAPI, emptyDir, ephemeral, image, persistentVolumeClaim, projected or "
    "secret volume.",
    references=("PSS restricted: Volume Types",),
)
def volume_types(pod: Pod, _options: Options) -> Findings:
    for volume in pod.spec.at("volumes").items():
        for kind, source in volume.entries():  # a volume with a name only is an emptyDir
            if kind != "name" and kind not in _VOLUME_TYPES:
                yield from forbid(source, lambda _: True, f"is a volume type that is not allowed: {kind}")


@FAMILY.pod(
    "pss-no-privilege-escalation",
    "Processes can't gain more privileges than they start with",
    Severity.HIGH,
    fix="Set securityContext.allowPrivilegeEscalation: false on every container.",
    references=("PSS restricted: Privilege Escalation", "CIS 5.2.6"),
)
def no_privilege_escalation(pod: Pod, options: Options) -> Findings:
    if options.kubernetes < (1, 8) or _windows_exempt(pod, options):
        return
    for container in pod.containers():
        yield from require(
            container.at("securityContext.allowPrivilegeEscalation"),
            lambda value: value is False,
            "must be false",
        )


@FAMILY.pod(
    "pss-run-as-non-root",
    "Containers must run as a user other than root",
    Severity.HIGH,
    fix="Set runAsNonRoot: true in the pod's securityContext.",
    references=("PSS restricted: Running as Non-root", "CIS 5.2.7", "NSA: Non-root containers"),
)
def run_as_non_root(pod: Pod, options: Options) -> Findings:
    if options.kubernetes >= (1, 35) and pod.user_namespace:
        return
    of_pod = pod.spec.at("securityContext.runAsNonRoot")
    yield from forbid(of_pod, lambda value: value is not True, "must not be false")
    for container in pod.containers():
        own = container.at("securityContext.runAsNonRoot")
        if not own.absent or of_pod.absent:
            yield from require(own, lambda value: value is True, "must be true here or on the pod")


@FAMILY.pod(
    "pss-run-as-user",
    "No container runs as user 0",
    Severity.HIGH,
    fix="Set runAsUser to a number other than 0, or remove it.",
    references=("PSS restricted: Running as Non-root user (v1.23+)",),
)
def run_as_user(pod: Pod, options: Options) -> Findings:
    if options.kubernetes < (1, 23) or (options.kubernetes >= (1, 35) and pod.user_namespace):
        return
    for context in security_contexts(pod):
        user = context.at("runAsUser")
        if user.unknown or user.integer() == 0:
            yield fail(user, "must not be 0")


@FAMILY.pod(
    "pss-seccomp-restricted",
    "Every container has a seccomp profile",
    Severity.HIGH,
    fix="Set seccompProfile.type: RuntimeDefault in the pod's securityContext.",
    references=("PSS restricted: Seccomp (v1.19+)", "CIS 5.7.2"),
)
def seccomp_restricted(pod: Pod, options: Options) -> Findings:
    if options.kubernetes < (1, 19) or _windows_exempt(pod, options):
        return
    of_pod = pod.spec.at("securityContext.seccompProfile")
    if not of_pod.absent:
        yield from _seccomp_type(of_pod)
    for container in pod.containers():
        own = container.at("securityContext.seccompProfile")
        if not own.absent or of_pod.absent:
            yield from _seccomp_type(own)


def _seccomp_type(profile: Node) -> Findings:
    refuse = none_of({"RuntimeDefault", "Localhost"})
    yield from require(
        profile.at("type"),
        lambda value: not refuse(value),
        "must be RuntimeDefault or Localhost, here or on the pod",
    )


@FAMILY.pod(
    "pss-capabilities-drop-all",
    "Containers drop all capabilities and add at most NET_BIND_SERVICE",
    Severity.HIGH,
    fix='Set securityContext.capabilities.drop: ["ALL"] on every container and add nothing.',
    references=("PSS restricted: Capabilities (v1.22+)", "CIS 5.2.10", "NSA: Linux capabilities"),
)
def capabilities_drop_all(pod: Pod, options: Options) -> Findings:
    if options.kubernetes < (1, 22) or _windows_exempt(pod, options):
        return
    for container in pod.containers():
        capabilities = container.at("securityContext.capabilities")
        dropped = capabilities.at("drop")
        names = [item.value for item in dropped.items()]
        if "ALL" not in names:
            uncertain = next((item for item in dropped.items() if item.unknown), dropped)
            yield fail(uncertain, 'must include "ALL"')
        for added in capabilities.at("add").items():
            yield from forbid(added, none_of({"NET_BIND_SERVICE"}), f"must not add {added.value}")


@FAMILY.pod(
    "pss-proc-mount-restricted",
    "The default /proc masks stay in place, in user namespaces too",
    Severity.HIGH,
    fix="Remove securityContext.procMount.",
    references=("PSS restricted: /proc Mount Type (v1.35+)",),
)
def proc_mount_restricted(pod: Pod, options: Options) -> Findings:
    if options.kubernetes >= (1, 35):
        yield from proc_masks(pod)
