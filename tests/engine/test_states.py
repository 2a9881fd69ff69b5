"""Pods and workloads as the API server tells them."""

from __future__ import annotations

from typing import Any

import pytest

from infra.engine.pods import pod
from infra.engine.workloads import workload

METADATA = {
    "name": "redis-0",
    "namespace": "mcp-dev",
    "creationTimestamp": "2026-11-21T10:00:00Z",
    "generation": 2,
}


def a_pod(status: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"metadata": {**METADATA, **metadata}, "status": status}


def container(state: dict[str, Any], *, ready: bool = False, restarts: int = 0) -> dict[str, Any]:
    return {"name": "main", "state": state, "ready": ready, "restartCount": restarts}


READY = {"type": "Ready", "status": "True"}
LATE = {"type": "Ready", "status": "False"}
HOMELESS = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}


def waiting(reason: str) -> dict[str, Any]:
    return container({"waiting": {"reason": reason}})


def running(phase: str, state: dict[str, Any], *conditions: dict[str, str]) -> dict[str, Any]:
    return {"phase": phase, "conditions": [*conditions], "containerStatuses": [state]}


@pytest.mark.parametrize(
    ("status", "reason", "stuck"),
    [
        (running("Running", container({"running": {}}, ready=True), READY), "", False),
        ({"phase": "Succeeded", "conditions": [LATE]}, "", False),
        ({"phase": "Pending"}, "Pending", False),
        (running("Pending", waiting("ContainerCreating")), "ContainerCreating", False),
        (running("Pending", waiting("ImagePullBackOff")), "ImagePullBackOff", True),
        (running("Running", waiting("CrashLoopBackOff")), "CrashLoopBackOff", True),
        (running("Running", container({"terminated": {"exitCode": 1, "reason": "Error"}})), "Error", False),
        (running("Running", container({"running": {}}), LATE), "NotReady", False),
        ({"phase": "Pending", "conditions": [HOMELESS]}, "Unschedulable", True),
        (
            {
                "phase": "Pending",
                "initContainerStatuses": [container({"waiting": {"reason": "CrashLoopBackOff"}})],
                "containerStatuses": [container({"waiting": {"reason": "PodInitializing"}})],
            },
            "CrashLoopBackOff",
            True,
        ),
    ],
)
def test_the_most_telling_reason_is_given(status: dict[str, Any], reason: str, stuck: bool) -> None:
    read = pod(a_pod(status))
    assert (read.reason, read.stuck, read.ready) == (reason, stuck, reason == "")


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        ({"kind": "ReplicaSet", "name": "gateway-5cf9c4688d"}, "gateway"),
        ({"kind": "StatefulSet", "name": "redis"}, "redis"),
    ],
)
def test_a_pod_knows_its_workload(owner: dict[str, str], name: str) -> None:
    assert pod(a_pod({}, ownerReferences=[owner])).workload == name
    assert pod(a_pod({})).workload == ""


def a_workload(kind: str, wanted: int, status: dict[str, int]) -> dict[str, Any]:
    return {"kind": kind, "metadata": METADATA, "spec": {"replicas": wanted}, "status": status}


def deployed(*, seen: int = 2, pods: int, new: int, ready: int) -> dict[str, int]:
    return {"observedGeneration": seen, "replicas": pods, "updatedReplicas": new, "readyReplicas": ready}


@pytest.mark.parametrize(
    ("status", "current", "ready"),
    [
        ({}, 0, False),
        (deployed(pods=2, new=2, ready=2), 2, True),
        (deployed(pods=2, new=2, ready=2, seen=1), 2, False),
        # Two old pods serve, one new one is not ready yet: nothing of the new version is there.
        (deployed(pods=3, new=1, ready=2), 0, False),
        (deployed(pods=3, new=2, ready=3), 2, True),
        (deployed(pods=2, new=1, ready=2), 1, False),
    ],
)
def test_only_pods_of_the_newest_version_count(status: dict[str, int], current: int, ready: bool) -> None:
    for kind in ("Deployment", "StatefulSet"):
        read = workload(a_workload(kind, 2, status))
        assert (read.current, read.ready) == (current, ready)


def test_a_daemon_set_wants_a_pod_on_each_node() -> None:
    status = {
        "observedGeneration": 2,
        "desiredNumberScheduled": 3,
        "updatedNumberScheduled": 3,
        "numberReady": 2,
    }
    read = workload(a_workload("DaemonSet", 0, status))
    assert (read.progress, read.ready) == ("2 of 3 ready", False)


def test_a_workload_of_no_pods_is_ready() -> None:
    assert workload(a_workload("Deployment", 0, {"observedGeneration": 2})).ready
