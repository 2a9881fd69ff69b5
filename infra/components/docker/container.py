"""A service's container in Docker's words, from the description that its pod is built from. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import pulumi_docker as docker
from pulumi_kubernetes.core import v1

from infra.components.mounts import Data, Mount, Scratch
from infra.components.pods import Container
from infra.quantities import cpu_millis, size_bytes
from infra.settings.workloads import Resources

PROCESSES: Final = 1024
"""At most, of one container; where the provider can only say it as a user's limit, of all of a user's."""

LOGS: Final[Mapping[str, str]] = {"max-size": "10m", "max-file": "3"}
LOG_DRIVER: Final = "local"

_MIB: Final = 2**20
_LOOPBACK: Final = "127.0.0.1"

_ASK: Final = (
    "import http.client as h; c = h.HTTPConnection('{host}', {port}, timeout={seconds}); "
    "c.request('GET', '{path}'); raise SystemExit(c.getresponse().status != 200)"
)


def environment(container: Container) -> list[str]:
    """`NAME=value`, sorted. There are no secrets among them: those are files."""
    return [f"{name}={value}" for name, value in sorted(container.env.items())]


def temporary(mounts: Sequence[Mount]) -> dict[str, str]:
    """Folders in memory, and how they are mounted: they count as the container's memory."""
    return {
        str(mount.at.mount_path): f"mode=1777,noexec,nosuid,nodev,size={size_bytes(mount.holds.size)}"
        for mount in mounts
        if isinstance(mount.holds, Scratch)
    }


def data(mounts: Sequence[Mount]) -> dict[str, Data]:
    """Folders that outlive the container, by path."""
    return {str(mount.at.mount_path): mount.holds for mount in mounts if isinstance(mount.holds, Data)}


def cpus(resources: Resources) -> str:
    """Cores at most: `0.5`."""
    return f"{cpu_millis(resources.limits.cpu) / 1000:g}"


def memory_mib(resources: Resources) -> int:
    """MiB at most."""
    return size_bytes(resources.limits.memory) // _MIB


def build_healthcheck(container: Container) -> docker.ContainerHealthcheckArgs | None:
    """Docker knows one check: whether the service is ready. None where only Kubernetes could ask."""
    ready, startup = container.probes.readiness, container.probes.startup
    if ready is None or (question := _question(container, ready)) is None:
        return None
    patience = _int(startup.period_seconds) * _int(startup.failure_threshold) if startup else 0
    return docker.ContainerHealthcheckArgs(
        tests=["CMD", *question],
        interval=f"{_int(ready.period_seconds)}s",
        timeout=f"{_int(ready.timeout_seconds)}s",
        retries=_int(ready.failure_threshold),
        start_period=f"{patience}s",
    )


def _question(container: Container, probe: v1.ProbeArgs) -> list[str] | None:
    """The command that asks what the probe asks."""
    if isinstance(probe.exec_, v1.ExecActionArgs) and isinstance(probe.exec_.command, list):
        return [str(word) for word in probe.exec_.command]
    if isinstance(probe.http_get, v1.HTTPGetActionArgs):
        port, path = container.ports[str(probe.http_get.port)], probe.http_get.path
        seconds = _int(probe.timeout_seconds)
        return ["python3", "-IS", "-c", _ASK.format(host=_LOOPBACK, port=port, path=path, seconds=seconds)]
    return None


def published(container_port: int, port: int) -> docker.ContainerPortArgs:
    """A port of the container on this machine, for this machine alone."""
    return docker.ContainerPortArgs(internal=container_port, external=port, ip=_LOOPBACK, protocol="tcp")


def _int(value: object) -> int:
    """A number that the builders of probes always set."""
    if not isinstance(value, int):
        raise TypeError(f"a probe's number is {value!r}")
    return value
