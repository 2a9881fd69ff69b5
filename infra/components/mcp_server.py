"""A tool server: one of the platform's own kinds, or one from elsewhere in an image of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import pulumi
from pulumi_kubernetes.core import v1
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.components.mounts import Mount, claim
from infra.components.workload import Exposure, Workload, WorkloadArgs
from infra.labels import KEEP, labels
from infra.naming import Stack
from infra.settings.servers import AnyServer, CustomServer, FilesystemServer, ModuleServer
from infra.settings.telemetry import Tracing
from infra.settings.workloads import SharedVolume
from services.kit.conventions import SERVER_LABEL

DATA_PATH: Final = "/data"
"""Where a filesystem server sees its volume."""


@dataclass(frozen=True, kw_only=True, slots=True)
class McpServerArgs:
    """One server.

    Attributes:
        stack: The stack.
        settings: The server's own settings.
        image: Where the server's code is.
        tracing: Where its traces go; None for nowhere.
        service_labels: Of its Service, beside the usual ones.
    """

    stack: Stack
    settings: AnyServer
    image: pulumi.Input[str]
    tracing: Tracing | None = None
    service_labels: Mapping[str, str] = field(default_factory=dict[str, str])


def build_environment(name: str, settings: AnyServer, tracing: Tracing | None = None) -> dict[str, str]:
    """What the server's process reads at its start."""
    environment = {
        **settings.env,
        "MCP_SERVER_NAME": name,
        "TOOL_TIMEOUT": str(settings.timeout_seconds),
        "LOG_LEVEL": settings.log_level,
    }
    if tracing is not None:
        environment |= {
            "TRACING_ENDPOINT": tracing.target,
            "TRACING_SAMPLE_RATIO": str(tracing.sample_ratio),
        }
    if settings.version is not None:
        environment["MCP_SERVER_VERSION"] = settings.version
    if isinstance(settings, FilesystemServer):
        environment |= {
            "FILESYSTEM_ROOTS": DATA_PATH,
            "FILESYSTEM_READ_ONLY": "true" if settings.read_only else "false",
            "FILESYSTEM_MAX_FILE_BYTES": str(settings.max_file_bytes),
        }
    return environment


def build_workload(name: str, args: McpServerArgs) -> WorkloadArgs:
    """The server as a workload."""
    settings = args.settings
    return WorkloadArgs(
        stack=args.stack,
        component="server",
        image=args.image,
        args=_entry_point_args(settings),
        scale=settings,
        resources=settings.resources,
        env=build_environment(name, settings, args.tracing),
        secret_env=settings.secret_env,
        mounts=_mounts(name, settings),
        health=settings.health if isinstance(settings, CustomServer) else "kit",
        exposure=Exposure(labels={SERVER_LABEL: name, **args.service_labels}),
        one_at_a_time=isinstance(settings, FilesystemServer) and not settings.volume.shared,
    )


def build_claim(volume: SharedVolume) -> v1.PersistentVolumeClaimSpecArgs:
    """The claim of a server's volume."""
    return v1.PersistentVolumeClaimSpecArgs(
        access_modes=["ReadWriteMany" if volume.shared else "ReadWriteOnce"],
        storage_class_name=volume.storage_class,
        resources=v1.VolumeResourceRequirementsArgs(requests={"storage": volume.size}),
    )


class McpServer(pulumi.ComponentResource):
    """A tool server that the gateway finds by the label on its Service."""

    name: str

    def __init__(self, name: str, args: McpServerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mcp:service:McpServer", name, None, opts)
        self.name = name
        if isinstance(args.settings, FilesystemServer):
            production = args.stack.production
            v1.PersistentVolumeClaim(
                name,
                metadata=ObjectMetaArgs(
                    name=name,
                    namespace=args.stack.namespace,
                    labels=labels(args.stack, name, "server"),
                    # A class that binds late binds when the first pod arrives: waiting here would never end.
                    annotations={**KEEP, "pulumi.com/skipAwait": "true"},
                ),
                spec=build_claim(args.settings.volume),
                opts=pulumi.ResourceOptions(parent=self, protect=production, retain_on_delete=production),
            )
        Workload(name, build_workload(name, args), opts=pulumi.ResourceOptions(parent=self))
        self.register_outputs({"service": name})


def _entry_point_args(settings: AnyServer) -> list[str]:
    """A custom image knows its own; in ours, the module that is run."""
    match settings:
        case CustomServer():
            return list(settings.args)
        case ModuleServer():
            return [f"services.servers.{settings.module}"]
        case FilesystemServer():
            return ["services.servers.filesystem"]


def _mounts(name: str, settings: AnyServer) -> list[Mount]:
    if isinstance(settings, FilesystemServer):
        return [claim("data", DATA_PATH, claim_name=name, read_only=settings.read_only)]
    return []
