# ruff: noqa: D103 - a rule's title, beside its function, says what it checks
"""How containers on a Docker engine run: what they are, what they can take, what happens when they end."""

from __future__ import annotations

from typing import Final

from policies.family import Family
from policies.node import UNKNOWN, Node
from policies.program import Resource
from policies.rule import Enforcement, Findings, Options, Severity, fail, require
from policies.rules.docker import CONTAINER, is_started
from policies.rules.images import is_pinned, parse_reference

FAMILY: Final = Family("docker-running", "How containers on a Docker engine run")

_LASTING: Final = frozenset({"always", "on-failure", "unless-stopped"})


def _lasts(container: Resource) -> bool:
    """Not so one that is to end by itself."""
    return is_started(container) and container.node.key("mustRun").value is not False


@FAMILY.resource(
    "docker-limits",
    "Memory, processor time and processes of a container have a limit",
    Severity.MEDIUM,
    CONTAINER,
    fix="Set memory, memorySwap to the same, cpus, and a ulimit nproc.",
    references=("CIS Docker 5.11", "CIS Docker 5.12", "CIS Docker 5.29"),
)
def docker_limits(container: Resource, _options: Options) -> Findings:
    if not is_started(container):
        return
    memory = container.node.key("memory")
    yield from require(memory, lambda value: isinstance(value, int) and value > 0, "must be set")
    if not memory.unknown:
        yield from require(
            container.node.key("memorySwap"),
            lambda value: value == memory.value,
            "must equal memory: no swapping",
        )
    yield from require(container.node.key("cpus"), lambda value: str(value) not in {"", "0"}, "must be set")
    ulimits = container.node.key("ulimits")
    named = [item.key("name").value for item in ulimits.items()]
    if "nproc" not in named:
        yield fail(Node(UNKNOWN, ulimits.path) if UNKNOWN in named else ulimits, "must hold nproc")


@FAMILY.resource(
    "docker-image-pinned",
    "Images of containers are pinned by digest, or by a tag made of their contents",
    Severity.HIGH,
    CONTAINER,
    fix="Append @sha256:…; images that the stack builds carry the hash of their contents as tag.",
    references=("CIS Docker 4.2",),
)
def docker_image_pinned(container: Resource, _options: Options) -> Findings:
    image = container.node.key("image")
    yield from require(
        image, lambda value: is_pinned(parse_reference(str(value))), "can change without notice"
    )


@FAMILY.resource(
    "docker-restart",
    "Containers that should last are started again, and stopped in time",
    Severity.MEDIUM,
    CONTAINER,
    fix="Set restart: unless-stopped, and stopTimeout to what finishing takes.",
    references=("CIS Docker 5.15",),
    settings=("drain_seconds",),
)
def docker_restart(container: Resource, options: Options) -> Findings:
    if not _lasts(container):
        return
    yield from require(
        container.node.key("restart"), lambda value: str(value) in _LASTING, "must be unless-stopped"
    )
    yield from require(
        container.node.key("stopTimeout"),
        lambda value: isinstance(value, int) and value >= options.drain_seconds,
        f"must be {options.drain_seconds} or more",
    )


@FAMILY.resource(
    "docker-healthcheck",
    "Containers that should last are asked whether they are healthy",
    Severity.LOW,
    CONTAINER,
    fix="Set healthcheck.tests, if the image has no HEALTHCHECK of its own.",
    references=("CIS Docker 4.6",),
    dev=Enforcement.ADVISORY,
    prod=Enforcement.ADVISORY,
)
def docker_healthcheck(container: Resource, _options: Options) -> Findings:
    if _lasts(container):
        yield from require(
            container.node.at("healthcheck.tests"),
            lambda value: bool(value) and value != ["NONE"],
            "must be set",
        )


@FAMILY.resource(
    "docker-logs",
    "Logs of containers are rotated",
    Severity.LOW,
    CONTAINER,
    fix="Set logOpts max-size and max-file: Docker's default keeps a container's log without end.",
)
def docker_logs(container: Resource, _options: Options) -> Findings:
    if is_started(container):
        yield from require(container.node.key("logOpts").key("max-size"), bool, "must be set")
