"""What a cluster is doing: its components as the supervisor sees them, its node as the API server sees it."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from pathlib import Path

from infra.cluster.api import ApiClient, ApiError
from infra.cluster.launch import running, supervisor_of
from infra.cluster.processes import children, inner_pid
from infra.cluster.runner import State
from infra.cluster.spec import ClusterSpec, Layout

API_SECONDS = 3.0


@dataclass(frozen=True)
class ComponentStatus:
    """One component; `pid` is its process number on the host."""

    name: str
    state: State
    pid: int | None
    restarts: int
    log: Path


@dataclass(frozen=True)
class ClusterStatus:
    """One cluster; `pid` is its supervisor as the host has it, None when it is down."""

    name: str
    pid: int | None
    components: list[ComponentStatus]
    node_ready: bool
    api_url: str
    gateway_url: str
    logs: Path

    @property
    def running(self) -> bool:
        """Whether its processes run."""
        return self.pid is not None

    @property
    def ready(self) -> bool:
        """Whether every component is ready and the node takes pods."""
        return (
            self.running
            and self.node_ready
            and all(component.state == "ready" for component in self.components)
        )


def read(spec: ClusterSpec, layout: Layout) -> ClusterStatus:
    """The status of a cluster that was made."""
    identity = running(layout)
    if identity is None:
        return ClusterStatus(
            name=spec.name,
            pid=None,
            components=[],
            node_ready=False,
            api_url=spec.api_url,
            gateway_url=spec.gateway_url,
            logs=layout.logs,
        )
    client = ApiClient(spec.api_url, layout.certificates, "bootstrap", timeout=API_SECONDS)
    node_ready = is_node_ready(spec, client)
    client.close()
    return ClusterStatus(
        name=spec.name,
        pid=supervisor_of(identity) or identity.pid,
        components=components(layout),
        node_ready=node_ready,
        api_url=spec.api_url,
        gateway_url=spec.gateway_url,
        logs=layout.logs,
    )


def components(layout: Layout) -> list[ComponentStatus]:
    """The supervisor's notes, with process numbers as the host has them; empty before it made any.

    A process that the notes hold and the machine doesn't has just ended, or its disk is full.
    """
    identity = running(layout)
    supervisor = supervisor_of(identity) if identity else None
    try:
        conditions = json.loads(layout.status_file.read_text())
    except FileNotFoundError:
        return []
    if supervisor is None:
        return []
    outside = {inner_pid(pid): pid for pid in children(supervisor)}
    return [
        ComponentStatus(
            name=condition["name"],
            state="restarting"
            if condition["pid"] and condition["pid"] not in outside
            else condition["state"],
            pid=outside.get(condition["pid"]),
            restarts=condition["restarts"],
            log=layout.log(condition["name"]),
        )
        for condition in conditions
    ]


def is_node_ready(spec: ClusterSpec, client: ApiClient) -> bool:
    """Whether the API server answers and says that the node is ready."""
    try:
        node = client.get(f"/api/v1/nodes/{spec.node_name}")
    except (OSError, http.client.HTTPException, ApiError):
        return False
    conditions = node.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
