"""Probes. Pure.

Liveness restarts a container, so it only asks whether the process itself still answers. Whether what it
depends on is there is readiness, which takes the pod out of its Services and nothing more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pulumi_kubernetes.core import v1

from services.kit.conventions import LIVE_PATH, OPS_PORT_NAME, READY_PATH, STARTED_PATH


@dataclass(frozen=True, kw_only=True, slots=True)
class Probes:
    """The three probes of one container."""

    startup: v1.ProbeArgs | None = None
    readiness: v1.ProbeArgs | None = None
    liveness: v1.ProbeArgs | None = None


NO_PROBES: Final = Probes()


def service_probes() -> Probes:
    """Of a service that is made with the kit: 60 s to start, unready after 10 s, restarted after 30 s."""
    return Probes(
        startup=v1.ProbeArgs(
            http_get=_get(STARTED_PATH), period_seconds=2, timeout_seconds=2, failure_threshold=30
        ),
        readiness=v1.ProbeArgs(
            http_get=_get(READY_PATH), period_seconds=5, timeout_seconds=3, failure_threshold=2
        ),
        liveness=v1.ProbeArgs(
            http_get=_get(LIVE_PATH), period_seconds=10, timeout_seconds=5, failure_threshold=3
        ),
    )


def port_probes(port_name: str) -> Probes:
    """Of a service that says nothing about itself: it is well while it accepts connections.

    Alive and ready are then the same, but for the patience: a restart comes last, after a minute.
    """
    socket = v1.TCPSocketActionArgs(port=port_name)
    return Probes(
        startup=v1.ProbeArgs(tcp_socket=socket, period_seconds=2, timeout_seconds=2, failure_threshold=30),
        readiness=v1.ProbeArgs(tcp_socket=socket, period_seconds=5, timeout_seconds=3, failure_threshold=2),
        liveness=v1.ProbeArgs(tcp_socket=socket, period_seconds=10, timeout_seconds=5, failure_threshold=6),
    )


def store_probes(ask: Sequence[str], port_name: str) -> Probes:
    """Of a data store: 5 min to recover at the start, out of service after 15 s.

    Alive is what accepts connections: a busy store must not be restarted, which would make it busier.

    Args:
        ask: Command that succeeds when the store answers queries.
        port_name: The port that the store listens on.
    """
    command = v1.ExecActionArgs(command=list(ask))
    return Probes(
        startup=v1.ProbeArgs(exec_=command, period_seconds=5, timeout_seconds=5, failure_threshold=60),
        readiness=v1.ProbeArgs(exec_=command, period_seconds=5, timeout_seconds=5, failure_threshold=3),
        liveness=v1.ProbeArgs(
            tcp_socket=v1.TCPSocketActionArgs(port=port_name),
            period_seconds=10,
            timeout_seconds=5,
            failure_threshold=6,
        ),
    )


def exporter_probes() -> Probes:
    """Of a metrics exporter, which serves a page about itself at `/`."""
    page = v1.HTTPGetActionArgs(path="/", port=OPS_PORT_NAME)
    socket = v1.TCPSocketActionArgs(port=OPS_PORT_NAME)
    return Probes(
        startup=v1.ProbeArgs(http_get=page, period_seconds=2, timeout_seconds=2, failure_threshold=30),
        readiness=v1.ProbeArgs(http_get=page, period_seconds=10, timeout_seconds=3, failure_threshold=3),
        liveness=v1.ProbeArgs(tcp_socket=socket, period_seconds=10, timeout_seconds=5, failure_threshold=3),
    )


def _get(path: str) -> v1.HTTPGetActionArgs:
    return v1.HTTPGetActionArgs(path=path, port=OPS_PORT_NAME)
