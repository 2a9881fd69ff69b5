"""Makes a directory for every claim of StorageClass `local-path`, and removes it when it is released.

    python -m infra.cluster.provisioner DIRECTORY NODE

`local` volumes rather than `hostPath`: the kubelet then honours a pod's fsGroup, and the scheduler knows the
node.
"""

from __future__ import annotations

import re
import shutil
import sys
import threading
import time
from pathlib import Path

from infra.cluster.api import CONFLICT, ApiClient, ApiError, Object
from infra.cluster.following import follow
from infra.cluster.spec import API_SERVER_PORT, Layout, read_spec
from infra.errors import PlatformError

PROVISIONER = "mcp-platform.dev/local-path"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
WANTED_PROVISIONER = "volume.kubernetes.io/storage-provisioner"

VOLUME_NAME = re.compile(r"pvc-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

CLAIMS = "/api/v1/persistentvolumeclaims"
VOLUMES = "/api/v1/persistentvolumes"


def is_ours_to_make(claim: Object, node: str) -> bool:
    """Whether a claim waits for a volume from us on this node."""
    annotations = claim["metadata"].get("annotations") or {}
    return (
        annotations.get(WANTED_PROVISIONER) == PROVISIONER
        and annotations.get(SELECTED_NODE) == node
        and not claim["spec"].get("volumeName")
        and "deletionTimestamp" not in claim["metadata"]
    )


def refusal(claim: Object) -> str:
    """Why a claim can't have a directory; empty when it can."""
    modes = set(claim["spec"].get("accessModes") or [])
    if claim["spec"].get("volumeMode", "Filesystem") != "Filesystem":
        return "local-path makes file systems, not block devices"
    if claim["spec"].get("dataSource") or claim["spec"].get("dataSourceRef"):
        return "local-path can't fill a volume from another source"
    if not modes <= {"ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany", "ReadOnlyMany"}:
        return f"access modes {sorted(modes)} are not known"
    return ""


def volume_name(claim: Object) -> str:
    """The name of a claim's volume: the claim's uid, so that trying twice makes one."""
    return f"pvc-{claim['metadata']['uid']}"


def volume_for(claim: Object, node: str, directory: Path, reclaim: str) -> Object:
    """The PersistentVolume that answers a claim."""
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": volume_name(claim), "annotations": {PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
            "accessModes": claim["spec"]["accessModes"],
            "volumeMode": "Filesystem",
            "storageClassName": claim["spec"]["storageClassName"],
            "persistentVolumeReclaimPolicy": reclaim,
            "local": {"path": str(directory)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": claim["metadata"]["namespace"],
                "name": claim["metadata"]["name"],
                "uid": claim["metadata"]["uid"],
            },
        },
    }


def is_ours_to_remove(volume: Object, root: Path) -> bool:
    """Whether a volume was made by us, below `root`, and nobody needs it any more.

    Anyone who may create volumes could write our annotation on one that points elsewhere, so its path must be
    the very one that we would have chosen.
    """
    name = volume["metadata"]["name"]
    return (
        (volume["metadata"].get("annotations") or {}).get(PROVISIONED_BY) == PROVISIONER
        and (volume.get("status") or {}).get("phase") == "Released"
        and volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
        and VOLUME_NAME.fullmatch(name) is not None
        and (volume["spec"].get("local") or {}).get("path") == str(root / name)
    )


class Provisioner:
    """What happens for one claim or one volume; safe to repeat."""

    def __init__(self, client: ApiClient, root: Path, node: str) -> None:
        self.client = client
        self.root = root
        self.node = node

    def claim_seen(self, claim: Object) -> None:
        """Make the volume of a claim that waits for one."""
        if not is_ours_to_make(claim, self.node):
            return
        reason = refusal(claim)
        if reason:
            self._tell(claim, reason)
            return
        storage_class = self.client.get(
            f"/apis/storage.k8s.io/v1/storageclasses/{claim['spec']['storageClassName']}"
        )
        directory = self.root / volume_name(claim)
        directory.mkdir(parents=True, exist_ok=True)
        # Usable by any user of a pod; on the host, the cluster's directory above it is closed to all but
        # root.
        directory.chmod(0o777)
        reclaim = storage_class.get("reclaimPolicy", "Delete")
        try:
            self.client.create(VOLUMES, volume_for(claim, self.node, directory, reclaim))
        except ApiError as error:
            if error.status != CONFLICT:  # made before a restart
                raise
        print(f"{claim['metadata']['namespace']}/{claim['metadata']['name']}: made {directory}", flush=True)

    def volume_seen(self, volume: Object) -> None:
        """Remove a volume that nobody claims any more, with its data."""
        if not is_ours_to_remove(volume, self.root):
            return
        directory = self.root / volume["metadata"]["name"]
        if directory.is_dir():
            shutil.rmtree(directory)
        self.client.delete(f"{VOLUMES}/{volume['metadata']['name']}")
        print(f"{volume['metadata']['name']}: removed {directory}", flush=True)

    def _tell(self, claim: Object, reason: str) -> None:
        """Say why a claim stays pending, where `kubectl describe` shows it."""
        name, namespace = claim["metadata"]["name"], claim["metadata"]["namespace"]
        print(f"{namespace}/{name}: {reason}", flush=True)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        involved = {key: claim["metadata"][key] for key in ("name", "namespace", "uid")}
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{name}.", "namespace": namespace},
            "involvedObject": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **involved},
            "type": "Warning",
            "reason": "ProvisioningFailed",
            "message": reason,
            "source": {"component": PROVISIONER},
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
        }
        self.client.create(f"/api/v1/namespaces/{namespace}/events", event)


def main(directory: Path, node: str) -> None:
    """Follow claims and volumes, each on a thread and a connection of its own."""
    layout = Layout(directory)
    spec = read_spec(layout)
    if spec is None:
        raise PlatformError(f"{directory} holds no cluster")
    layout.volumes.mkdir(exist_ok=True)

    def provisioner() -> Provisioner:
        server = f"https://{spec.node_ip}:{API_SERVER_PORT}"
        return Provisioner(ApiClient(server, layout.certificates, "provisioner"), layout.volumes, node)

    makes, removes = provisioner(), provisioner()
    removing = threading.Thread(
        target=follow, args=(removes.client, VOLUMES, removes.volume_seen), daemon=True
    )
    removing.start()
    follow(makes.client, CLAIMS, makes.claim_seen)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
