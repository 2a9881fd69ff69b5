"""Files for a container whose own root is read-only: a volume that another container, never started, fills.

The provider writes files by extracting an archive at `/`, which Docker refuses where the root is read-only.
So they go through a container that exists for that alone: what it writes below a volume's folder is in the
volume, which the service then mounts read-only. The direct way has Compose mount the same files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_docker as docker

from infra.components.mounts import Folder, Mount
from infra.naming import Stack
from services.kit.conventions import RUN_AS_USER

READABLE: Final = "0444"
PRIVATE: Final = "0400"

Configs = Mapping[str, Mapping[str, str]]
"""Contents by name and key, as in Kubernetes' ConfigMaps."""

Secrets = Mapping[str, Mapping[str, pulumi.Output[str]]]
"""The same, as in Kubernetes' Secrets."""


def config_files(mounts: Sequence[Mount], configs: Configs) -> dict[str, str]:
    """Contents by path of all that is not secret."""
    return {
        f"{path}/{file}": configs[folder.config.name][key]
        for path, folder in folders(mounts).items()
        if folder.config is not None
        for key, file in sorted(folder.config.paths.items())
    }


def secret_files(mounts: Sequence[Mount], secrets: Secrets) -> dict[str, pulumi.Output[str]]:
    """Contents by path of all that is secret."""
    return {
        f"{path}/{file}": secrets[folder.secret.name][key]
        for path, folder in folders(mounts).items()
        if folder.secret is not None
        for key, file in sorted(folder.secret.paths.items())
    }


def folders(mounts: Sequence[Mount]) -> dict[str, Folder]:
    """What is in each mounted folder of files, by its path."""
    return {str(mount.at.mount_path): mount.holds for mount in mounts if isinstance(mount.holds, Folder)}


@dataclass(frozen=True, kw_only=True, slots=True)
class FileVolumesArgs:
    """The files of one container.

    Attributes:
        stack: The stack.
        image: Any that the engine has: nothing of it is run.
        mounts: All mounts of the container; those of files count.
        configs: What the files hold.
        secrets: As above.
        labels: Of everything that is made.
    """

    stack: Stack
    image: pulumi.Input[str]
    mounts: Sequence[Mount]
    configs: Configs
    secrets: Secrets
    labels: Mapping[str, str]


class FileVolumes(pulumi.ComponentResource):
    """A volume for each folder of files.

    Attributes:
        mounts: The volumes, for the container that reads them.
    """

    mounts: Sequence[docker.ContainerVolumeArgs]

    def __init__(self, name: str, args: FileVolumesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mcp:docker:FileVolumes", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        volumes = {
            path: docker.Volume(
                f"{name}-{_dashed(path)}",
                name=f"{args.stack.namespace}-{name}-{_dashed(path)}",
                labels=[docker.VolumeLabelArgs(label=key, value=value) for key, value in args.labels.items()],
                opts=child,
            )
            for path in sorted(folders(args.mounts))
        }
        if volumes:
            self._fill(name, args, volumes)
        self.mounts = [_mounted(path, volume, read_only=True) for path, volume in volumes.items()]
        self.register_outputs({})

    def _fill(self, name: str, args: FileVolumesArgs, volumes: Mapping[str, docker.Volume]) -> None:
        plain, secret = config_files(args.mounts, args.configs), secret_files(args.mounts, args.secrets)
        user = str(RUN_AS_USER)
        docker.Container(
            f"{name}-files",
            name=f"{args.stack.namespace}-{name}-files",
            image=args.image,
            start=False,
            must_run=False,
            restart="no",
            network_mode="none",
            user=f"{user}:{user}",
            capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"]),
            security_opts=["no-new-privileges:true"],
            volumes=[_mounted(path, volume, read_only=False) for path, volume in volumes.items()],
            uploads=[
                *(_upload(path, content, READABLE, user) for path, content in sorted(plain.items())),
                *(_upload(path, content, PRIVATE, user) for path, content in sorted(secret.items())),
            ],
            labels=[docker.ContainerLabelArgs(label=key, value=value) for key, value in args.labels.items()],
            opts=pulumi.ResourceOptions(parent=self),
        )


def _upload(
    path: str, content: pulumi.Input[str], permissions: str, owner: str
) -> docker.ContainerUploadArgs:
    return docker.ContainerUploadArgs(
        file=path, content=content, permissions=permissions, owner=owner, group=owner
    )


def _mounted(path: str, volume: docker.Volume, *, read_only: bool) -> docker.ContainerVolumeArgs:
    return docker.ContainerVolumeArgs(container_path=path, volume_name=volume.name, read_only=read_only)


def _dashed(path: str) -> str:
    """`/run/secrets/redis` as `run-secrets-redis`."""
    return path.strip("/").replace("/", "-")
