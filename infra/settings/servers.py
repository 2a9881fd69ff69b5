"""Settings of the tool servers: the platform's own, the project's modules, and those from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from infra.settings.fields import ABSENT, Cidr, EnvName, Group, PinnedImage, Text, reject
from infra.settings.workloads import LogLevel, Resources, Scaled, SecretKey, SharedVolume

_SERVERS: Final = Path(__file__).resolve().parents[2] / "services" / "servers"

SECRET_NAME: Final = re.compile(r"password|passwd|secret|token|credential|private|api_?key", re.IGNORECASE)
"""Names whose values are taken for secrets: never shown, never accepted as plain text."""

_OWN_ENV: Final = re.compile(
    r"MCP_SERVER_(NAME|VERSION)|TOOL_TIMEOUT|LOG_LEVEL|HOST|PORT|OPS_PORT|DRAIN_SECONDS|TRACING_(ENDPOINT|SAMPLE_RATIO)"
    r"|FILESYSTEM_(ROOTS|READ_ONLY|MAX_FILE_BYTES)"
)
"""What the platform sets, or relies on."""


class Server(Scaled):
    """What every tool server has."""

    resources: Resources = Resources()
    env: Mapping[EnvName, str] = {}
    secret_env: Mapping[EnvName, SecretKey] = {}
    timeout_seconds: int = Field(default=30, ge=1, le=3600)
    """Of one tool call."""
    version: Text | None = None
    """What the server reports as its version; the image's own when left out."""
    log_level: LogLevel = "info"

    @model_validator(mode="after")
    def _environment_is_free(self) -> Server:
        for key in (*self.env, *self.secret_env):
            if _OWN_ENV.fullmatch(key):
                reject(
                    f"env.{key}",
                    "is the platform's to set: see the server's other settings",
                    self.env.get(key, ABSENT),
                )
        for key in self.env:
            if SECRET_NAME.search(key):
                reject(f"env.{key}", "looks like a secret; refer to a Kubernetes Secret with secret_env")
            if key in self.secret_env:
                reject(f"env.{key}", "is in secret_env, too", self.env[key])
        return self


class FilesystemServer(Server):
    """Files below one volume."""

    kind: Literal["filesystem"]
    volume: SharedVolume = SharedVolume()
    read_only: bool = False
    max_file_bytes: int = Field(default=10 * 2**20, ge=1, le=2**30)

    @model_validator(mode="after")
    def _replicas_share_the_volume(self) -> FilesystemServer:
        if self.most > 1 and not self.volume.shared:
            reject(
                "volume.shared",
                f"must be true for up to {self.most} replicas: other volumes are mounted on one node",
                self.volume.shared,
            )
        return self


def _server_module(name: str) -> str:
    known = {path.parent.name for path in _SERVERS.glob("*/__main__.py")}
    known |= {path.stem for path in _SERVERS.glob("*.py") if path.stem != "__init__"}
    if name not in known:
        raise ValueError(f"must be a module of services/servers: {', '.join(sorted(known))}")
    return name


ServerModule = Annotated[str, AfterValidator(_server_module)]


class ModuleServer(Server):
    """A server of this project: the module `services.servers.<module>`, in the image of all of them."""

    kind: Literal["module"]
    module: ServerModule
    """Its name below services/servers."""


class ImageBuild(Group):
    """An image that is built from a folder of the user's own, together with the platform's."""

    context: Text
    """The folder that the Dockerfile copies from; a path from the project. What is copied names the image."""
    dockerfile: Text | None = None
    """Path from the project; `Dockerfile` in the folder when left out. The build argument BASE is the
    platform's base image."""


class CustomServer(Server):
    """A server from elsewhere, in an image of its own: MCP on port 8080 at `/mcp`, any language or SDK."""

    kind: Literal["custom"]
    image: PinnedImage | None = None
    """An image that is there already; either this or `build`."""
    build: ImageBuild | None = None
    args: tuple[str, ...] = ()
    """Of the image's entry point."""
    health: Literal["kit", "port"] = "kit"
    """Kit: health and metrics on port 9090, as the server kit has them. Port: a server without these is well
    while it accepts connections on its MCP port."""
    egress_cidrs: tuple[Cidr, ...] = ()
    """Networks that the server's tools call, by HTTPS. None unless listed."""

    @model_validator(mode="after")
    def _comes_one_way(self) -> CustomServer:
        if self.image is None and self.build is None:
            reject("image", "must be set, or build instead: the image is there, or is to be built")
        if self.image is not None and self.build is not None:
            reject("image", "must be left out where build is set: there is one image", self.image)
        return self


AnyServer = Annotated[FilesystemServer | ModuleServer | CustomServer, Field(discriminator="kind")]
