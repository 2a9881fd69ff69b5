"""An image of the platform's own, built from this repository and named by its contents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pulumi
import pulumi_docker_build as docker_build

from infra.errors import PlatformError
from infra.images.content import image_hash
from infra.settings.groups import Images
from infra.versions import PLATFORM

REPOSITORY: Final = Path(__file__).resolve().parents[2]
"""What an image's paths are relative to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageArgs:
    """What to build.

    Attributes:
        settings: Registry, base, platforms.
        dockerfile: Path below the repository.
        context: Path below the repository of the folder that the Dockerfile copies from.
        build_args: Beside the base, title and version.
    """

    settings: Images
    dockerfile: str
    context: str = "."
    build_args: Mapping[str, str] = field(default_factory=dict[str, str])


class Image(pulumi.ComponentResource):
    """A container image. Equal contents have equal tags: an unchanged image is neither built nor rolled out.

    Attributes:
        ref: The reference for pods: with a digest once it is pushed, the tag alone otherwise.
    """

    ref: pulumi.Output[str]

    def __init__(self, name: str, args: ImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mcp:image:Image", name, None, opts)
        settings = args.settings
        dockerfile, context = REPOSITORY / args.dockerfile, REPOSITORY / args.context
        build_args = {"BASE": settings.base, "TITLE": name, "VERSION": PLATFORM, **args.build_args}
        tag = f"{settings.registry}/{name}:{_content(name, dockerfile, context, build_args)}"
        image = docker_build.Image(
            name,
            context=docker_build.BuildContextArgs(location=str(context)),
            dockerfile=docker_build.DockerfileArgs(location=str(dockerfile)),
            build_args=build_args,
            tags=[tag],
            platforms=[docker_build.Platform(platform) for platform in settings.platforms] or None,
            push=settings.push,
            load=not settings.push,
            secrets=_secrets(settings),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.ref = image.ref
        self.register_outputs({"ref": self.ref})


def _content(name: str, dockerfile: Path, context: Path, build_args: Mapping[str, str]) -> str:
    """The hash of all that the image is made of."""
    try:
        return image_hash(dockerfile, context, build_args)
    except (OSError, ValueError) as error:
        raise PlatformError(
            f"image {name}: what it is to be built of can't be read: {error}",
            hint="Name files that are there; every COPY and ADD on one line, without brackets.",
        ) from error


def _secrets(settings: Images) -> dict[str, pulumi.Input[str]] | None:
    """What a build may read and no layer keeps: the CA bundle, where one is set."""
    if settings.ca_bundle is None:
        return None
    try:
        return {"ca_bundle": Path(settings.ca_bundle).read_text(encoding="ascii")}
    except (OSError, ValueError) as error:
        raise PlatformError(
            f"images.ca_bundle = {settings.ca_bundle}: can't be read as PEM certificates: {error}",
            hint="Name a file with the certificates that builds must trust, or remove the key.",
        ) from error
