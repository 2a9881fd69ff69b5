"""The images of a stack: the platform's own, and those that are built for a server of the user's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pulumi

from infra.assembly_stores import is_built_here
from infra.components.aws.ecr_repository import EcrRepository
from infra.components.image import Image, ImageArgs
from infra.settings import Settings
from infra.settings.groups import AnyPostgres, AnyRedis, Store
from infra.settings.servers import AnyServer, CustomServer

_SERVICES_DOCKERFILE: Final = "services/Dockerfile"
_SYSTEM_PACKAGES: Final = {"backup": "postgresql-client-17 valkey-server"}
"""Debian's, with programs that a service runs."""

PushedTo = Mapping[str, EcrRepository]
"""The repositories that the stack makes, by image."""


def is_built(server: AnyServer) -> bool:
    """Whether an image is built for the server alone."""
    return isinstance(server, CustomServer) and server.build is not None


def own_image(server: str) -> str:
    """The name of a server's own image; no image of the platform's has one like it."""
    return f"server-{server}"


def custom_image(
    name: str, server: CustomServer, settings: Settings, pushed_to: PushedTo
) -> pulumi.Input[str]:
    """The image that a server from elsewhere comes in: one that is there, or that is built here."""
    if server.build is None:
        return str(server.image)
    build, image = server.build, own_image(name)
    dockerfile = build.dockerfile or f"{build.context}/Dockerfile"
    args = ImageArgs(settings=settings.images, dockerfile=dockerfile, context=build.context)
    return Image(image, args, _after(image, pushed_to)).ref


def service_image(package: str, settings: Settings, pushed_to: PushedTo) -> pulumi.Output[str]:
    """The image of one folder below services/, with the locked requirements of the same name."""
    build_args = {"EXTRA": package, "PACKAGE": package}
    if package in _SYSTEM_PACKAGES:
        build_args["SYSTEM_PACKAGES"] = _SYSTEM_PACKAGES[package]
    args = ImageArgs(settings=settings.images, dockerfile=_SERVICES_DOCKERFILE, build_args=build_args)
    return Image(package, args, _after(package, pushed_to)).ref


def store_images(
    name: str, store: AnyRedis | AnyPostgres, settings: Settings, pushed_to: PushedTo
) -> tuple[pulumi.Input[str], pulumi.Input[str]]:
    """A data store's image and its exporter's: those that are set, or the one of ours that holds both."""
    if is_built_here(store):
        ref = folder_image(name, settings, pushed_to)
        return ref, ref
    if isinstance(store, Store):
        return store.image or "", store.exporter_image or ""
    return "", ""


def folder_image(name: str, settings: Settings, pushed_to: PushedTo) -> pulumi.Output[str]:
    """The image of one folder below infra/images."""
    folder = f"infra/images/{name}"
    args = ImageArgs(settings=settings.images, dockerfile=f"{folder}/Dockerfile", context=folder)
    return Image(name, args, _after(name, pushed_to)).ref


def _after(image: str, pushed_to: PushedTo) -> pulumi.ResourceOptions:
    """Where a repository is made for the image, it comes first."""
    repository = pushed_to.get(image)
    return pulumi.ResourceOptions(depends_on=[repository] if repository else None)
