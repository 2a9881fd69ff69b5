"""The container of an OpenTelemetry collector, whatever it collects. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import pulumi
from pulumi_kubernetes.core import v1

from infra.components.mounts import Files, Mount, files
from infra.components.pods import Container
from infra.components.probes import Probes
from infra.settings.telemetry import Backend
from infra.settings.workloads import Resources
from infra.telemetry.parts import (
    CA_FILE,
    CONFIG_FILE,
    CONFIG_PATH,
    HEALTH_PATH,
    HEALTH_PORT,
    TOKEN_FILE,
    TOKEN_PATH,
    go_memory_limit,
)
from services.kit.conventions import OPS_PORT, OPS_PORT_NAME

IMAGE: Final = "otelcol"
"""The image's name, and its folder's below infra/images."""

_HEALTH_PORT_NAME: Final = "health"


@dataclass(frozen=True, kw_only=True, slots=True)
class CollectorContainer:
    """One collector.

    Attributes:
        name: Of the container and of the ConfigMap.
        image: Image reference.
        backend: Where it sends.
        resources: Requests and limits.
        ports: Beside those for metrics and probes.
        mounts: Beside its configuration and credentials.
        field_env: Environment variables from fields of the pod.
        pause_before_stop: Whether clients come through a Service.
    """

    name: str
    image: pulumi.Input[str]
    backend: Backend
    resources: Resources
    ports: Mapping[str, int] = field(default_factory=dict[str, int])
    mounts: Sequence[Mount] = ()
    field_env: Mapping[str, str] = field(default_factory=dict[str, str])
    pause_before_stop: bool


def build_collector(args: CollectorContainer) -> Container:
    """The same arguments start the image that is built here and the official one."""
    return Container(
        name=args.name,
        image=args.image,
        args=[f"--config=file:{CONFIG_PATH}/{CONFIG_FILE}"],
        ports={OPS_PORT_NAME: OPS_PORT, _HEALTH_PORT_NAME: HEALTH_PORT, **args.ports},
        env={"GOMEMLIMIT": go_memory_limit(args.resources)},
        field_env=args.field_env,
        resources=args.resources,
        probes=_probes(),
        mounts=[*_configuration(args), *args.mounts],
        pause_before_stop=args.pause_before_stop,
    )


def _configuration(args: CollectorContainer) -> list[Mount]:
    names = [CONFIG_FILE, *([CA_FILE] if args.backend.ca else [])]
    found = [files("config", CONFIG_PATH, config=Files(name=args.name, paths={it: it for it in names}))]
    if args.backend.token:
        token = Files(name=args.backend.token.name, paths={args.backend.token.key: TOKEN_FILE})
        found.append(files("backend", TOKEN_PATH, secret=token))
    return found


def _probes() -> Probes:
    """Ready while its pipeline runs, alive while it accepts connections: with or without the backend."""
    page = v1.HTTPGetActionArgs(path=HEALTH_PATH, port=_HEALTH_PORT_NAME)
    socket = v1.TCPSocketActionArgs(port=_HEALTH_PORT_NAME)
    return Probes(
        startup=v1.ProbeArgs(http_get=page, period_seconds=2, timeout_seconds=2, failure_threshold=30),
        readiness=v1.ProbeArgs(http_get=page, period_seconds=5, timeout_seconds=3, failure_threshold=2),
        liveness=v1.ProbeArgs(tcp_socket=socket, period_seconds=10, timeout_seconds=5, failure_threshold=3),
    )
