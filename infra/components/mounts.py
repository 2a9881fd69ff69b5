"""Volumes together with the place where a container sees them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pulumi_kubernetes.core import v1
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.settings.workloads import Volume

API_TOKEN_SECONDS: Final = 3600
"""How long a pod's token for the Kubernetes API is valid; the kubelet renews it well before."""

_SERVICE_ACCOUNT_PATH: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
_READABLE: Final = 0o440


@dataclass(frozen=True, kw_only=True, slots=True)
class Files:
    """Some of the files of one ConfigMap or Secret.

    Attributes:
        name: The object's name.
        paths: File path below the mount, by key of the object.
    """

    name: str
    paths: Mapping[str, str]

    def items(self) -> list[v1.KeyToPathArgs]:
        """As a projection wants them."""
        return [v1.KeyToPathArgs(key=key, path=path) for key, path in sorted(self.paths.items())]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scratch:
    """An empty folder of at most `size`."""

    size: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Folder:
    """A folder of files, some of a ConfigMap, some of a Secret."""

    config: Files | None
    secret: Files | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Data:
    """A folder that outlives its containers."""

    read_only: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Mount:
    """One volume of a pod and its place in a container; two containers may have a mount of one volume.

    Attributes:
        volume: The volume; None where a StatefulSet adds it to each pod.
        at: Its place.
        holds: What is in there, for whoever runs containers without pods; None where only Kubernetes has it.
    """

    volume: v1.VolumeArgs | None
    at: v1.VolumeMountArgs
    holds: Scratch | Folder | Data | None = None


def scratch(name: str, path: str, size: str) -> Mount:
    """An empty folder that goes with the pod; more than `size` in it evicts the pod."""
    return Mount(
        volume=v1.VolumeArgs(name=name, empty_dir=v1.EmptyDirVolumeSourceArgs(size_limit=size)),
        at=v1.VolumeMountArgs(name=name, mount_path=path),
        holds=Scratch(size=size),
    )


def files(name: str, path: str, *, config: Files | None = None, secret: Files | None = None) -> Mount:
    """Files of a ConfigMap, a Secret or both in one read-only folder."""
    sources: list[v1.VolumeProjectionArgs] = []
    if config is not None:
        projection = v1.ConfigMapProjectionArgs(name=config.name, items=config.items())
        sources.append(v1.VolumeProjectionArgs(config_map=projection))
    if secret is not None:
        sources.append(
            v1.VolumeProjectionArgs(secret=v1.SecretProjectionArgs(name=secret.name, items=secret.items()))
        )
    projected = v1.ProjectedVolumeSourceArgs(sources=sources, default_mode=_READABLE)
    return Mount(
        volume=v1.VolumeArgs(name=name, projected=projected),
        at=v1.VolumeMountArgs(name=name, mount_path=path, read_only=True),
        holds=Folder(config=config, secret=secret),
    )


def claim(name: str, path: str, *, claim_name: str, read_only: bool = False) -> Mount:
    """A PersistentVolumeClaim."""
    source = v1.PersistentVolumeClaimVolumeSourceArgs(claim_name=claim_name, read_only=read_only)
    return Mount(
        volume=v1.VolumeArgs(name=name, persistent_volume_claim=source),
        at=v1.VolumeMountArgs(name=name, mount_path=path, read_only=read_only),
        holds=Data(read_only=read_only),
    )


def host_folder(name: str, path: str) -> Mount:
    """A folder of the node, at the same path, to be read only. Pod Security forbids it nearly everywhere."""
    return Mount(
        volume=v1.VolumeArgs(name=name, host_path=v1.HostPathVolumeSourceArgs(path=path, type="Directory")),
        at=v1.VolumeMountArgs(name=name, mount_path=path, read_only=True),
    )


def memory(name: str, path: str, size: str) -> Mount:
    """An empty folder in memory, which counts as the pod's: for what must be on no disk."""
    source = v1.EmptyDirVolumeSourceArgs(medium="Memory", size_limit=size)
    return Mount(
        volume=v1.VolumeArgs(name=name, empty_dir=source),
        at=v1.VolumeMountArgs(name=name, mount_path=path),
    )


def pods_own_claim(name: str, path: str, volume: Volume, labels: Mapping[str, str]) -> Mount:
    """A claim that is made for the pod, and goes with it: room that a node's own disk may not have."""
    spec = v1.PersistentVolumeClaimSpecArgs(
        access_modes=["ReadWriteOnce"],
        storage_class_name=volume.storage_class,
        resources=v1.VolumeResourceRequirementsArgs(requests={"storage": volume.size}),
    )
    template = v1.PersistentVolumeClaimTemplateArgs(metadata=ObjectMetaArgs(labels=labels), spec=spec)
    source = v1.EphemeralVolumeSourceArgs(volume_claim_template=template)
    return Mount(
        volume=v1.VolumeArgs(name=name, ephemeral=source),
        at=v1.VolumeMountArgs(name=name, mount_path=path),
    )


def own_claim(name: str, path: str) -> Mount:
    """The claim that a StatefulSet makes for each of its pods from the template `name`."""
    return Mount(volume=None, at=v1.VolumeMountArgs(name=name, mount_path=path), holds=Data())


def api_access() -> Mount:
    """What a client of the Kubernetes API looks for: a short-lived token, the cluster's CA, the namespace.

    The same files as the automatic mount, which stays off, so a pod has them only by saying so.
    """
    token = v1.ServiceAccountTokenProjectionArgs(path="token", expiration_seconds=API_TOKEN_SECONDS)
    authority = v1.ConfigMapProjectionArgs(
        name="kube-root-ca.crt", items=[v1.KeyToPathArgs(key="ca.crt", path="ca.crt")]
    )
    field = v1.ObjectFieldSelectorArgs(field_path="metadata.namespace")
    namespace = v1.DownwardAPIProjectionArgs(
        items=[v1.DownwardAPIVolumeFileArgs(path="namespace", field_ref=field)]
    )
    sources = [
        v1.VolumeProjectionArgs(service_account_token=token),
        v1.VolumeProjectionArgs(config_map=authority),
        v1.VolumeProjectionArgs(downward_api=namespace),
    ]
    projected = v1.ProjectedVolumeSourceArgs(sources=sources, default_mode=_READABLE)
    return Mount(
        volume=v1.VolumeArgs(name="api-access", projected=projected),
        at=v1.VolumeMountArgs(name="api-access", mount_path=_SERVICE_ACCOUNT_PATH, read_only=True),
    )
