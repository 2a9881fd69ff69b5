"""What a stack's graph says about the images to build."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from infra.engine.graph import UNKNOWN, Graph, Resource, Secret
from infra.errors import PlatformError

IMAGE_TYPE: Final = "docker-build:index:Image"
REPOSITORY: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class ImageSpec:
    """One image to produce.

    Attributes:
        name: Short name for people, such as `gateway`: the repository's last part.
        dockerfile: Absolute path.
        context: Absolute path of the folder that COPY reads from.
        build_args: As the Dockerfile declares them.
        target: The stage to build; None is the last.
        ref: The full reference to produce, `REGISTRY/NAME:CONTENT_HASH`.
        push: Whether it is to end in its registry.
        platforms: Such as `linux/amd64`; none is the builder's own.
        secrets: Contents of build secrets, by id; in no layer and never shown.
    """

    name: str
    dockerfile: Path
    context: Path
    build_args: Mapping[str, str]
    target: str | None
    ref: str
    push: bool = False
    platforms: tuple[str, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)


def image_specs(graph: Graph, *, project: Path = REPOSITORY) -> list[ImageSpec]:
    """The images that a graph declares, each reference once, in the graph's order.

    Args:
        graph: One evaluated stack.
        project: What relative paths are relative to.

    Raises:
        PlatformError: An image without a tag, with an input that is unknown or secret, or with missing files.
    """
    specs: dict[str, ImageSpec] = {}
    for resource in graph.resources:
        if resource.type == IMAGE_TYPE:
            spec = _spec(resource, graph.stack, project)
            specs.setdefault(spec.ref, spec)
    return list(specs.values())


def _spec(resource: Resource, stack: str, project: Path) -> ImageSpec:
    where = f"stack {stack}, image {resource.name}"
    inputs = resource.inputs
    tags = _plain(inputs.get("tags"), where, "tags")
    if not isinstance(tags, list) or not tags:
        raise PlatformError(f"{where}: `tags` is empty", hint="give it one content-addressed tag")
    context = project / _location(inputs, "context", where)
    dockerfile = project / (_location(inputs, "dockerfile", where) or context / "Dockerfile")
    for path in (context, dockerfile):
        if not path.exists():
            raise PlatformError(f"{where}: {path} does not exist")
    args = _plain(inputs.get("buildArgs"), where, "buildArgs") or {}
    ref = str(tags[0])
    return ImageSpec(
        name=short_name(ref),
        dockerfile=dockerfile,
        context=context,
        build_args={key: str(value) for key, value in args.items()},
        target=_plain(inputs.get("target"), where, "target"),
        ref=ref,
        push=bool(_plain(inputs.get("push"), where, "push")),
        platforms=tuple(map(str, _plain(inputs.get("platforms"), where, "platforms") or ())),
        secrets=_secrets(inputs.get("secrets"), where),
    )


def short_name(ref: str) -> str:
    """`gateway` of `localhost/mcp-platform/gateway:0123456789abcdef`."""
    return ref.rpartition("/")[2].partition("@")[0].partition(":")[0]


def _secrets(value: object, where: str) -> dict[str, str]:
    """Build secrets: marked as secrets as a whole, or each."""
    whole = value.value if isinstance(value, Secret) else value
    if not isinstance(whole, Mapping):
        return {}
    opened = {key: item.value if isinstance(item, Secret) else item for key, item in whole.items()}
    return {str(key): str(_plain(item, where, f"secrets.{key}")) for key, item in opened.items()}


def _location(inputs: Mapping[str, Any], key: str, where: str) -> str:
    value = _plain(inputs.get(key), where, key) or {}
    return str(value.get("location", "")) if isinstance(value, Mapping) else str(value)


def _plain(value: Any, where: str, key: str) -> Any:  # noqa: ANN401 - an input is whatever JSON can hold
    """The value itself; an image can't be named or built from what is unknown or must not be shown.

    Raises:
        PlatformError: There is an unknown or a secret in it.
    """
    if value is UNKNOWN:
        raise PlatformError(f"{where}: `{key}` is known only after a deployment", hint="use a plain value")
    if isinstance(value, Secret):
        raise PlatformError(
            f"{where}: `{key}` is a secret, and build arguments stay readable in an image",
            hint="use a plain value, or a build secret of the Dockerfile",
        )
    if isinstance(value, Mapping):
        return {name: _plain(item, where, f"{key}.{name}") for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, where, f"{key}[{index}]") for index, item in enumerate(value)]
    return value
