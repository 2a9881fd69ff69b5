# ruff: noqa: D103 - a rule's title, beside its function, says what it checks
"""Pod Security Standards, level baseline, as upstream's admission plugin checks them (KEP-2579).

Each rule names the standard's control, and holds from the Kubernetes version from which upstream enforces it.
Verdicts are compared with upstream's fixtures of every version: tests/policies/test_pod_security_oracle.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from policies.family import Family
from policies.node import Node
from policies.objects import Pod
from policies.rule import Findings, Options, Severity, forbid, is_set, none_of

FAMILY: Final = Family("pss-baseline", "Pod Security Standards: baseline")

_CAPABILITIES: Final = frozenset(
    {
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    }
)
_SYSCTLS: Final[tuple[tuple[tuple[int, int], frozenset[str]], ...]] = (
    (
        (1, 0),
        frozenset(
            {
                "kernel.shm_rmid_forced",
                "net.ipv4.ip_local_port_range",
                "net.ipv4.ip_unprivileged_port_start",
                "net.ipv4.ping_group_range",
                "net.ipv4.tcp_syncookies",
            }
        ),
    ),
    ((1, 27), frozenset({"net.ipv4.ip_local_reserved_ports"})),
    (
        (1, 29),
        frozenset(
            {
                "net.ipv4.tcp_fin_timeout",
                "net.ipv4.tcp_keepalive_intvl",
                "net.ipv4.tcp_keepalive_probes",
                "net.ipv4.tcp_keepalive_time",
            }
        ),
    ),
    ((1, 32), frozenset({"net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"})),
    ((1, 37), frozenset({"net.ipv4.tcp_notsent_lowat", "net.ipv4.tcp_slow_start_after_idle"})),
)
_SELINUX_TYPES: Final = frozenset({"", "container_t", "container_init_t", "container_kvm_t"})
_PROFILE_TYPES: Final = frozenset({"RuntimeDefault", "Localhost"})
_HANDLERS: Final = (
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle.postStart",
    "lifecycle.preStop",
)
_APPARMOR_ANNOTATION: Final = "container.apparmor.security.beta.kubernetes.io/"
_SECCOMP_POD_ANNOTATION: Final = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP_CONTAINER_ANNOTATION: Final = "container.seccomp.security.alpha.kubernetes.io/"


def security_contexts(pod: Pod) -> Iterator[Node]:
    """The pod's security context, then each container's."""
    yield pod.spec.at("securityContext")
    for container in pod.containers():
        yield container.at("securityContext")


@FAMILY.pod(
    "pss-host-namespaces",
    "Pods don't share the node's network, process or IPC namespace",
    Severity.CRITICAL,
    fix="Remove hostNetwork, hostPID and hostIPC.",
    references=("PSS baseline: Host Namespaces", "CIS 5.2.3-5.2.5", "NSA: Pod Security"),
)
def host_namespaces(pod: Pod, _options: Options) -> Findings:
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        yield from forbid(pod.spec.at(name), is_set, "shares a namespace with the node")


@FAMILY.pod(
    "pss-privileged",
    "No privileged containers",
    Severity.CRITICAL,
    fix="Remove securityContext.privileged.",
    references=("PSS baseline: Privileged Containers", "CIS 5.2.2", "NSA: Pod Security"),
)
def privileged(pod: Pod, _options: Options) -> Findings:
    for container in pod.containers():
        yield from forbid(
            container.at("securityContext.privileged"), is_set, "gives the container full access to the node"
        )


@FAMILY.pod(
    "pss-capabilities-baseline",
    "No capabilities beyond the default set",
    Severity.CRITICAL,
    fix="Remove the capability from securityContext.capabilities.add.",
    references=("PSS baseline: Capabilities", "CIS 5.2.9"),
)
def capabilities_baseline(pod: Pod, _options: Options) -> Findings:
    for container in pod.containers():
        for added in container.at("securityContext.capabilities.add").items():
            yield from forbid(
                added,
                none_of(_CAPABILITIES),
                f"adds {added.value}, which is not in the default set",
            )


@FAMILY.pod(
    "pss-host-path",
    "No hostPath volumes",
    Severity.CRITICAL,
    fix="Use a persistentVolumeClaim, emptyDir, configMap or secret volume.",
    references=("PSS baseline: HostPath Volumes", "CIS 5.2.12", "NSA: Pod Security"),
)
def host_path(pod: Pod, _options: Options) -> Findings:
    for volume in pod.spec.at("volumes").items():
        yield from forbid(volume.at("hostPath"), lambda _: True, "mounts a directory of the node")


@FAMILY.pod(
    "pss-host-ports",
    "No host ports",
    Severity.HIGH,
    fix="Remove hostPort and reach the pod through a Service.",
    references=("PSS baseline: Host Ports", "CIS 5.2.13"),
)
def host_ports(pod: Pod, _options: Options) -> Findings:
    for container in pod.containers():
        for port in container.at("ports").items():
            yield from forbid(port.at("hostPort"), is_set, "takes a port of the node")


@FAMILY.pod(
    "pss-host-probes",
    "Probes and lifecycle hooks call only their own pod",
    Severity.HIGH,
    fix="Remove host from httpGet and tcpSocket: the pod's own address is the default.",
    references=("PSS baseline: Host Probes / Lifecycle Hooks (v1.34+)",),
)
def host_probes(pod: Pod, options: Options) -> Findings:
    if options.kubernetes < (1, 34):
        return
    for container in pod.containers():
        for handler in _HANDLERS:
            for action in ("httpGet", "tcpSocket"):
                yield from forbid(
                    container.at(f"{handler}.{action}.host"), is_set, "makes the kubelet call another host"
                )


@FAMILY.pod(
    "pss-apparmor",
    "AppArmor profiles are the runtime's default or a local one",
    Severity.HIGH,
    fix="Set appArmorProfile.type to RuntimeDefault or Localhost, or remove it.",
    references=("PSS baseline: AppArmor",),
)
def apparmor(pod: Pod, _options: Options) -> Findings:
    for context in security_contexts(pod):
        profile = context.at("appArmorProfile")
        if not profile.absent:
            yield from _profile_type(profile, "switches the default AppArmor profile off")
    for name, value in pod.metadata.at("annotations").entries():
        if name.startswith(_APPARMOR_ANNOTATION) or value.unknown:
            yield from forbid(
                value,
                lambda text: not (text in ("", "runtime/default") or str(text).startswith("localhost/")),
                "switches the default AppArmor profile off",
            )


def _profile_type(profile: Node, message: str) -> Findings:
    """A profile that is given must have an allowed type: an empty one is not the default."""
    kind = profile.at("type")
    if kind.absent:
        kind = Node("", kind.path)
    yield from forbid(kind, none_of(_PROFILE_TYPES), message)


@FAMILY.pod(
    "pss-selinux",
    "SELinux labels keep the container's confinement",
    Severity.HIGH,
    fix="Remove seLinuxOptions.user and .role; use a container type such as container_t.",
    references=("PSS baseline: SELinux",),
)
def selinux(pod: Pod, options: Options) -> Findings:
    allowed = _SELINUX_TYPES | {"container_engine_t"} if options.kubernetes >= (1, 31) else _SELINUX_TYPES
    for context in security_contexts(pod):
        labels = context.at("seLinuxOptions")
        yield from forbid(labels.at("type"), none_of(allowed), "is not a confined container type")
        for name in ("user", "role"):
            yield from forbid(labels.at(name), is_set, "may not be set")


@FAMILY.pod(
    "pss-proc-mount",
    "The default /proc masks stay in place",
    Severity.HIGH,
    fix="Remove securityContext.procMount.",
    references=("PSS baseline: /proc Mount Type",),
)
def proc_mount(pod: Pod, options: Options) -> Findings:
    if options.kubernetes >= (1, 35) and pod.user_namespace:
        return
    yield from proc_masks(pod)


def proc_masks(pod: Pod) -> Findings:
    """Containers that take the default masks off /proc."""
    for container in pod.containers():
        yield from forbid(
            container.at("securityContext.procMount"),
            none_of({"Default"}),
            "takes the default masks off /proc",
        )


@FAMILY.pod(
    "pss-seccomp-baseline",
    "Seccomp is not switched off",
    Severity.HIGH,
    fix="Set seccompProfile.type to RuntimeDefault or Localhost.",
    references=("PSS baseline: Seccomp", "CIS 5.7.2"),
)
def seccomp_baseline(pod: Pod, options: Options) -> Findings:
    if options.kubernetes < (1, 19):
        yield from _seccomp_annotations(pod)
        return
    for context in security_contexts(pod):
        profile = context.at("seccompProfile")
        if not profile.absent:
            yield from _profile_type(profile, "switches seccomp off")


def _seccomp_annotations(pod: Pod) -> Findings:
    """Before Kubernetes 1.19 annotations chose the profile."""
    names = {_SECCOMP_POD_ANNOTATION} | {
        f"{_SECCOMP_CONTAINER_ANNOTATION}{container.at('name').text()}" for container in pod.containers()
    }
    for name, value in pod.metadata.at("annotations").entries():
        if name in names or value.unknown:
            yield from forbid(
                value,
                lambda text: (
                    not (text in ("runtime/default", "docker/default") or str(text).startswith("localhost/"))
                ),
                "switches seccomp off",
            )


@FAMILY.pod(
    "pss-sysctls",
    "Only sysctls that stay inside the pod",
    Severity.HIGH,
    fix="Remove the sysctl from securityContext.sysctls.",
    references=("PSS baseline: Sysctls",),
)
def sysctls(pod: Pod, options: Options) -> Findings:
    allowed = frozenset[str]().union(*(names for since, names in _SYSCTLS if options.kubernetes >= since))
    for sysctl in pod.spec.at("securityContext.sysctls").items():
        name = sysctl.at("name")
        yield from forbid(name, none_of(allowed), f"{name.value} can affect other pods")


@FAMILY.pod(
    "pss-windows-host-process",
    "No Windows host processes",
    Severity.CRITICAL,
    fix="Remove windowsOptions.hostProcess.",
    references=("PSS baseline: HostProcess", "CIS 5.2.11"),
)
def windows_host_process(pod: Pod, _options: Options) -> Findings:
    for context in security_contexts(pod):
        yield from forbid(
            context.at("windowsOptions.hostProcess"), is_set, "runs as a process of the Windows node"
        )
