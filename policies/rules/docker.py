# ruff: noqa: D103 - a rule's title, beside its function, says what it checks
"""Containers on a Docker engine: as confined as pods, published for the machine alone, never unbounded."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from policies.family import Family
from policies.node import UNKNOWN, Node
from policies.objects import Stack
from policies.program import Resource
from policies.rule import Findings, Options, Severity, about, fail, forbid, require, require_any
from policies.rules.secrets import literal

FAMILY: Final = Family("docker", "Containers on a Docker engine", together="program")

CONTAINER: Final = "docker:index/container:Container"
NETWORK: Final = "docker:index/network:Network"

_USER: Final = re.compile(r"(?P<user>[1-9]\d*)(:[1-9]\d*)?\Z")
_SOCKETS: Final = re.compile(r"(/var)?/run/(docker|containerd/containerd|podman/podman)\.sock\Z")
_SHARED: Final = ("networkMode", "pidMode", "ipcMode", "usernsMode", "cgroupnsMode")
_NO_NEW: Final = ("no-new-privileges", "no-new-privileges:true", "no-new-privileges=true")
_UNCONFINED: Final = (
    "seccomp=unconfined",
    "seccomp:unconfined",
    "apparmor=unconfined",
    "apparmor:unconfined",
)
_ADDABLE: Final = frozenset({"NET_BIND_SERVICE", "CAP_NET_BIND_SERVICE"})


def is_started(container: Resource) -> bool:
    """Not so a container that is there only to have files written into its volumes."""
    return container.node.key("start").value is not False


@FAMILY.resource(
    "docker-user",
    "Containers run as a user other than root, by its number",
    Severity.HIGH,
    CONTAINER,
    fix='Set user to a number, such as "10001:10001".',
    references=("CIS Docker 4.1",),
)
def docker_user(container: Resource, _options: Options) -> Findings:
    yield from require(
        container.node.key("user"),
        lambda value: bool(_USER.match(str(value))),
        "must be a number other than 0",
    )


@FAMILY.resource(
    "docker-read-only",
    "Containers can't write to their image's file system",
    Severity.HIGH,
    CONTAINER,
    fix="Set readOnly: true, with a volume or tmpfs where the program writes.",
    references=("CIS Docker 5.13",),
)
def docker_read_only(container: Resource, _options: Options) -> Findings:
    if is_started(container):
        yield from require(container.node.key("readOnly"), lambda value: value is True, "must be true")


@FAMILY.resource(
    "docker-capabilities",
    "Containers give up all capabilities",
    Severity.HIGH,
    CONTAINER,
    fix='Set capabilities.drops to ["ALL"], and add at most NET_BIND_SERVICE.',
    references=("CIS Docker 5.4",),
)
def docker_capabilities(container: Resource, _options: Options) -> Findings:
    drops = container.node.at("capabilities.drops")
    dropped = [item.value for item in drops.items()]
    if "ALL" not in dropped:
        yield fail(Node(UNKNOWN, drops.path) if UNKNOWN in dropped else drops, "must hold ALL")
    for item in container.node.at("capabilities.adds").items():
        yield from forbid(item, lambda value: str(value) not in _ADDABLE, "must not be given back")


@FAMILY.resource(
    "docker-no-new-privileges",
    "No process of a container gains privileges, and none is unconfined",
    Severity.HIGH,
    CONTAINER,
    fix='Set securityOpts to ["no-new-privileges:true"]; leave seccomp and AppArmor as the engine has them.',
    references=("CIS Docker 5.2", "CIS Docker 5.22", "CIS Docker 5.26"),
)
def docker_no_new_privileges(container: Resource, _options: Options) -> Findings:
    options = container.node.key("securityOpts")
    said = options.items()
    values = [item.value for item in said]
    if not any(value in _NO_NEW for value in values):
        yield fail(
            Node(UNKNOWN, options.path) if UNKNOWN in values else options, "must hold no-new-privileges:true"
        )
    for item in said:
        if item.value in _UNCONFINED:
            yield fail(item, "takes a confinement away")


@FAMILY.resource(
    "docker-isolated",
    "Containers share neither devices nor namespaces with the machine",
    Severity.CRITICAL,
    CONTAINER,
    fix="Leave out privileged and devices, and every mode that is host or another container's.",
    references=("CIS Docker 5.5", "CIS Docker 5.10", "CIS Docker 5.16", "CIS Docker 5.17", "CIS Docker 5.18"),
)
def docker_isolated(container: Resource, _options: Options) -> Findings:
    yield from forbid(container.node.key("privileged"), bool, "must not be set")
    for device in container.node.key("devices").items():
        yield fail(device, "gives the container a device of the machine")
    for name in _SHARED:
        yield from forbid(
            container.node.key(name),
            lambda value: value == "host" or str(value).startswith("container:"),
            "is shared with the machine or another container",
        )


@FAMILY.resource(
    "docker-no-host-paths",
    "Containers see nothing of the machine's file system",
    Severity.CRITICAL,
    CONTAINER,
    fix="Mount named volumes; upload files into them.",
    references=("CIS Docker 5.6", "CIS Docker 5.32"),
)
def docker_no_host_paths(container: Resource, _options: Options) -> Findings:
    for volume in container.node.key("volumes").items():
        yield from _no_host_path(volume.key("hostPath"))
    for mount in container.node.key("mounts").items():
        if mount.key("type").value in ("bind", UNKNOWN):
            yield from _no_host_path(Node(UNKNOWN, mount.path) if mount.unknown else mount.key("source"))


def _no_host_path(path: Node) -> Findings:
    if not path.absent:
        is_engine = bool(_SOCKETS.match(str(path.value)))
        yield fail(
            path, "is the engine's socket: root on the machine" if is_engine else "is a path of the machine"
        )


@FAMILY.resource(
    "docker-loopback",
    "Ports are published for the machine alone",
    Severity.HIGH,
    CONTAINER,
    fix="Set the port's ip to 127.0.0.1: Docker opens a published port past the machine's firewall.",
    references=("CIS Docker 5.14",),
)
def docker_loopback(container: Resource, _options: Options) -> Findings:
    yield from forbid(container.node.key("publishAllPorts"), bool, "publishes all ports, on all addresses")
    for port in container.node.key("ports").items():
        yield from require(port.key("ip"), _is_loopback, "must be 127.0.0.1")


def _is_loopback(value: object) -> bool:
    try:
        return ipaddress.ip_address(str(value)).is_loopback
    except ValueError:
        return False


@FAMILY.resource(
    "docker-secret-in-env",
    "No secret is in a container's environment",
    Severity.CRITICAL,
    CONTAINER,
    fix="Upload it as a file: who may ask the engine sees every environment.",
    references=("CIS Docker 4.10",),
)
def docker_secret_in_env(container: Resource, _options: Options) -> Findings:
    for variable in container.node.key("envs").items():
        name, _, value = str(variable.value).partition("=")
        known = Node(UNKNOWN if variable.unknown else value, variable.path, secret=variable.secret)
        yield from literal("" if variable.unknown else name, known)


@FAMILY.program(
    "docker-internal",
    "Containers that publish nothing are on networks of the stack's own; stores and servers can't get out",
    Severity.HIGH,
    CONTAINER,
    NETWORK,
    fix="Name networks, and make those internal that no container publishes a port from.",
    references=("CIS Docker 5.30",),
)
def docker_internal(stack: Stack, _options: Options) -> Findings:
    internal = {
        str(item.node.key("name").value): item.node.key("internal") for item in stack.of_type(NETWORK)
    }
    for container in stack.of_type(CONTAINER):
        if is_started(container):
            yield from about(container, _connected(container, internal))


def _connected(container: Resource, internal: dict[str, Node]) -> Findings:
    networks = container.node.key("networksAdvanced")
    if networks.absent and container.node.key("networkMode").value != "none":
        yield fail(networks, "must be set: the default network has all containers of the machine")
    if not container.node.key("ports").items() and networks.items():
        answers = [_is_internal(item, internal) for item in networks.items()]
        yield from require_any(answers, networks, "has none that is internal")


def _is_internal(item: Node, internal: dict[str, Node]) -> bool | None:
    """Whether a network is internal; None where that is not known, or the stack doesn't declare it."""
    found = internal.get(str(item.key("name").value))
    return None if item.unknown or found is None or found.unknown else found.value is True
