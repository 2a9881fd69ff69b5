from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from infra.cluster.provisioner import (
    PROVISIONED_BY,
    PROVISIONER,
    SELECTED_NODE,
    WANTED_PROVISIONER,
    is_ours_to_make,
    is_ours_to_remove,
    refusal,
    volume_for,
    volume_name,
)

UID = "0f3e1c1a-1111-2222-3333-444455556666"
ROOT = Path("/srv/volumes")

CLAIM: dict[str, Any] = {
    "metadata": {
        "name": "data",
        "namespace": "mcp-dev",
        "uid": UID,
        "annotations": {WANTED_PROVISIONER: PROVISIONER, SELECTED_NODE: "node"},
    },
    "spec": {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "local-path",
        "volumeMode": "Filesystem",
    },
}


def claim(**changes: Any) -> dict[str, Any]:
    changed = deepcopy(CLAIM)
    for part, values in changes.items():
        changed[part].update(values)
    return changed


def released(**changes: Any) -> dict[str, Any]:
    volume = volume_for(CLAIM, "node", ROOT / volume_name(CLAIM), "Delete")
    volume["status"] = {"phase": "Released"}
    for part, values in changes.items():
        volume[part].update(values)
    return volume


def test_a_claim_that_a_pod_needs_here_is_ours() -> None:
    assert is_ours_to_make(CLAIM, "node")


@pytest.mark.parametrize(
    "other",
    [
        claim(metadata={"annotations": {WANTED_PROVISIONER: "someone/else", SELECTED_NODE: "node"}}),
        claim(metadata={"annotations": {WANTED_PROVISIONER: PROVISIONER}}),
        claim(metadata={"annotations": {WANTED_PROVISIONER: PROVISIONER, SELECTED_NODE: "another"}}),
        claim(metadata={"annotations": None}),
        claim(spec={"volumeName": "pvc-1"}),
        claim(metadata={"deletionTimestamp": "2026-11-21T00:00:00Z"}),
    ],
)
def test_other_claims_are_not(other: dict[str, Any]) -> None:
    assert not is_ours_to_make(other, "node")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (claim(spec={"volumeMode": "Block"}), "block"),
        (claim(spec={"dataSource": {"kind": "VolumeSnapshot", "name": "x"}}), "source"),
        (claim(spec={"accessModes": ["Whenever"]}), "Whenever"),
    ],
)
def test_what_a_directory_can_not_be_is_said(bad: dict[str, Any], reason: str) -> None:
    assert reason in refusal(bad)
    assert refusal(CLAIM) == ""


def test_the_volume_belongs_to_the_claim_and_the_node() -> None:
    volume = volume_for(CLAIM, "node", ROOT / "x", "Delete")
    assert volume["metadata"]["name"] == f"pvc-{UID}"
    assert volume["spec"]["claimRef"]["uid"] == UID
    assert volume["spec"]["local"] == {"path": "/srv/volumes/x"}
    term = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"][0]
    assert term == {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node"]}


def test_a_released_volume_of_ours_is_removed() -> None:
    assert is_ours_to_remove(released(), ROOT)


@pytest.mark.parametrize(
    "other",
    [
        released(status={"phase": "Bound"}),
        released(spec={"persistentVolumeReclaimPolicy": "Retain"}),
        released(metadata={"annotations": {PROVISIONED_BY: "someone/else"}}),
        released(metadata={"annotations": None}),
        released(metadata={"name": ".."}, spec={"local": {"path": "/srv/volumes/.."}}),
        released(metadata={"name": "pvc-1"}),
        released(spec={"local": {"path": "/etc"}}),
        released(spec={"local": None, "hostPath": {"path": f"/srv/volumes/pvc-{UID}"}}),
    ],
)
def test_nothing_else_ever_is(other: dict[str, Any]) -> None:
    assert not is_ours_to_remove(other, ROOT)
