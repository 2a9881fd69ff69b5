"""One service on a Docker engine: its container, and the volumes of its data and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_docker as docker

from infra.components.docker.container import (
    LOG_DRIVER,
    LOGS,
    PROCESSES,
    build_healthcheck,
    cpus,
    data,
    environment,
    memory_mib,
    published,
    temporary,
)
from infra.components.docker.files import Configs, FileVolumes, FileVolumesArgs, Secrets, config_files
from infra.components.pods import Container
from infra.hashing import config_hash
from infra.labels import CONFIG_HASH, Component, labels
from infra.naming import Stack
from services.kit.conventions import MCP_PORT, RUN_AS_USER

START_SECONDS: Final = 300
"""The longest that a container may take until it is healthy."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceArgs:
    """One service.

    Attributes:
        stack: The stack.
        component: What part it plays.
        container: What runs, described as for a pod.
        configs: What its files hold.
        secrets: As above.
        networks: Docker's names of the networks that it is on.
        grace_seconds: From SIGTERM to SIGKILL.
        port: Where its protocol's port is published on this machine; None for nowhere.
        once: Whether it ends by itself, and must have done so before those that depend on it start.
        after: What must be healthy, or have ended, before it starts.
        asked: Whether the image is known to have what asking for its health takes.
    """

    stack: Stack
    component: Component
    container: Container
    configs: Configs
    secrets: Secrets
    networks: Sequence[pulumi.Output[str]]
    grace_seconds: int
    port: int | None = None
    once: bool = False
    after: Sequence[pulumi.Resource] = ()
    asked: bool = True


class Service(pulumi.ComponentResource):
    """A container that is started again whenever it ends, or one that runs once."""

    name: str

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mcp:docker:Service", name, None, opts)
        self.name = name
        child = pulumi.ResourceOptions(parent=self)
        own = labels(args.stack, name, args.component)
        files = FileVolumes(
            name,
            FileVolumesArgs(
                stack=args.stack,
                image=args.container.image,
                mounts=args.container.mounts,
                configs=args.configs,
                secrets=args.secrets,
                labels=own,
            ),
            opts=child,
        )
        volumes = [*self._data(name, args, own), *files.mounts]
        before = [files, *args.after]
        self._container(name, args, own, volumes, pulumi.ResourceOptions(parent=self, depends_on=before))
        self.register_outputs({"service": name})

    def _data(self, name: str, args: ServiceArgs, own: Mapping[str, str]) -> list[docker.ContainerVolumeArgs]:
        mounts: list[docker.ContainerVolumeArgs] = []
        for path, holds in data(args.container.mounts).items():
            volume = docker.Volume(
                f"{name}-data",
                name=f"{args.stack.namespace}-{name}-data",
                labels=[docker.VolumeLabelArgs(label=key, value=value) for key, value in own.items()],
                opts=pulumi.ResourceOptions(parent=self),
            )
            mounts.append(
                docker.ContainerVolumeArgs(
                    container_path=path, volume_name=volume.name, read_only=holds.read_only
                )
            )
        return mounts

    def _container(
        self,
        name: str,
        args: ServiceArgs,
        own: Mapping[str, str],
        volumes: Sequence[docker.ContainerVolumeArgs],
        opts: pulumi.ResourceOptions,
    ) -> None:
        container = args.container
        memory = memory_mib(container.resources)
        healthcheck = build_healthcheck(container) if args.asked else None
        contents = config_files(container.mounts, args.configs)
        marked = {**own, CONFIG_HASH: config_hash(contents)} if contents else own
        docker.Container(
            name,
            name=f"{args.stack.namespace}-{name}",
            image=container.image,
            entrypoints=list(container.command) or None,
            command=list(container.args) or None,
            envs=environment(container),
            user=f"{RUN_AS_USER}:{RUN_AS_USER}",
            read_only=True,
            capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"]),
            security_opts=["no-new-privileges:true"],
            cpus=cpus(container.resources),
            memory=memory,
            memory_swap=memory,
            ulimits=[docker.ContainerUlimitArgs(name="nproc", soft=PROCESSES, hard=PROCESSES)],
            tmpfs=temporary(container.mounts) or None,
            volumes=list(volumes) or None,
            networks_advanced=[
                docker.ContainerNetworksAdvancedArgs(name=network, aliases=[name])
                for network in args.networks
            ],
            ports=[published(MCP_PORT, args.port)] if args.port else None,
            healthcheck=healthcheck,
            restart="no" if args.once else "unless-stopped",
            must_run=not args.once,
            attach=args.once,
            wait=healthcheck is not None,
            wait_timeout=START_SECONDS,
            stop_timeout=args.grace_seconds,
            destroy_grace_seconds=args.grace_seconds,
            log_driver=LOG_DRIVER,
            log_opts=LOGS,
            labels=[docker.ContainerLabelArgs(label=key, value=value) for key, value in marked.items()],
            opts=opts,
        )
