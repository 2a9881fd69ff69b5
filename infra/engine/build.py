"""Build the images that a stack declares and bring them to where they run.

Tags are content-addressed, so an image that is already there is never built or sent again: with nothing
changed this costs one listing. A file lock keeps concurrent builds of one machine apart.
"""

from __future__ import annotations

import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol

from infra.cluster.processes import locked
from infra.cluster.report import Report, silent
from infra.cluster.tools import tool
from infra.engine.build_base import BaseImage, wanted_base
from infra.engine.build_buildah import Buildah
from infra.engine.build_builder import Builder
from infra.engine.build_docker import Docker, engine_answers
from infra.engine.build_node import NodeImages
from infra.engine.build_settings import HOST_PLATFORM, BuildSettings, label_arguments
from infra.engine.build_spec import ImageSpec, image_specs
from infra.errors import PlatformError
from infra.images.content import HASH_DIGITS, image_hash

__all__ = ["ImageSpec", "build", "image_specs", "prune"]

LOCAL_PREFIX: Final = "localhost/mcp-platform/"
"""Content-addressed images with this prefix are ours to remove; anything else belongs to someone else."""

KEPT_PER_NAME: Final = 5
KEPT_STAGES: Final = 30
"""Cached stages. A change of code adds one of a few kilobytes; one of the locked requirements adds 100 MB."""

_CONTENT_HASH: Final = re.compile(f"[0-9a-f]{{{HASH_DIGITS}}}")
_STEPS_THAT_TAKE_TIME: Final = ("RUN", "COPY", "ADD")

BuilderName = Literal["auto", "buildah", "docker"]


class HasContainerd(Protocol):
    """An embedded cluster, as far as images go."""

    @property
    def home(self) -> Path:
        """Where its programs were built."""
        ...

    @property
    def containerd_socket(self) -> Path:
        """The socket of the node's containerd."""
        ...


def build(
    specs: Sequence[ImageSpec],
    *,
    builder: BuilderName = "auto",
    load_into: HasContainerd | None = None,
    push: bool = False,
    report: Report = silent,
) -> None:
    """Have every image built, and loaded into the cluster or pushed to its registry where that is asked.

    Args:
        specs: What to build.
        builder: `auto` takes a Docker engine where one answers, else buildah.
        load_into: The embedded cluster whose node is to have the images.
        push: Whether the registries are to have all images, not just those that say so.
        report: Takes lines of progress.

    Raises:
        PlatformError: No builder, no base image, a step that failed, no disk space, or a place not reached.
    """
    settings = BuildSettings.from_environment()
    to_push = [spec for spec in specs if push or spec.push]
    node = _node(load_into) if load_into else None
    if node and not to_push and not _absent(specs, node.refs()):
        report(f"images: all {len(specs)} are in the cluster")
        return
    with _alone(settings, report):
        work = _Work(_builder(builder, settings, report), settings, report)
        if node:
            work.load(_absent(specs, node.refs()), node)
        work.push(to_push)
        if not node:
            work.build([spec for spec in specs if spec not in to_push])


def prune(
    keep: Callable[[], Collection[str]],
    *,
    builder: BuilderName = "auto",
    load_into: HasContainerd | None = None,
    report: Report = silent,
) -> list[str]:
    """Remove old images of ours, and return their references.

    Args:
        keep: Tells what something may still run or roll back to. The cluster keeps exactly these. It is asked
            while nobody can load images.
        builder: Whose storage to prune; it also keeps the newest `KEPT_PER_NAME` of each name.
        load_into: The embedded cluster whose node to prune too.
        report: Takes lines of progress.
    """
    settings = BuildSettings.from_environment()
    removed: set[str] = set()
    with _alone(settings, report):
        kept = keep()
        if load_into:
            node = _node(load_into)
            old = sorted(ref for ref in node.refs() if _ours(ref) and ref not in kept)
            node.remove(old)
            removed.update(old)
        chosen = _builder(builder, settings, report)
        removed.update(_tidy(chosen, kept))
    return sorted(removed)


@contextmanager
def _alone(settings: BuildSettings, report: Report) -> Generator[None]:
    """Nobody else builds on this machine, and nothing is left of who was killed doing so."""
    settings.make_folder()
    with locked(settings.lock, report, "another build of images"):
        settings.clean()
        yield


@dataclass(frozen=True)
class _Work:
    """What happens while the lock is held."""

    builder: Builder
    settings: BuildSettings
    report: Report

    def build(self, specs: Sequence[ImageSpec]) -> None:
        missing = _absent(specs, self.builder.refs())
        for number, spec in enumerate(missing, 1):
            self._build_one(spec, f"building {spec.name} [{number}/{len(missing)}]")
        if missing:
            _tidy(self.builder, {spec.ref for spec in specs})

    def load(self, specs: Sequence[ImageSpec], node: NodeImages) -> None:
        self.build(specs)
        for spec in specs:
            self.report(f"loading {spec.name} into the cluster")
            with tempfile.TemporaryDirectory(prefix="load-", dir=self.settings.folder) as folder:
                archive = Path(folder) / "image.tar"
                self.builder.save(spec.ref, archive)
                node.load(archive, spec.ref)

    def push(self, specs: Sequence[ImageSpec]) -> None:
        missing = [spec for spec in specs if not self.builder.published(spec.ref)]
        self.build(missing)
        for spec in missing:
            self.report(f"pushing {spec.ref}")
            self.builder.push(spec.ref)

    def _build_one(self, spec: ImageSpec, title: str) -> None:
        self.settings.check_space()
        self.report(title)
        _check_platforms(spec)
        _check_contents(spec)
        args = {**label_arguments(spec.name), **spec.build_args}
        if base := wanted_base(spec):
            args["BASE"] = BaseImage(base, self.builder, self.settings, self.report).ensure()

        def on_step(step: str) -> None:
            if step.startswith(_STEPS_THAT_TAKE_TIME):
                self.report(f"{title}: {step}")

        with self._secrets(spec) as secrets:
            self.builder.build(spec, args, secrets, on_step)
        try:
            _check_contents(spec)
        except PlatformError:
            self.builder.remove([spec.ref])  # its name would promise other contents
            raise

    @contextmanager
    def _secrets(self, spec: ImageSpec) -> Generator[dict[str, Path]]:
        """Files of the image's build secrets, and of the CA bundle that this machine's builds trust."""
        with tempfile.TemporaryDirectory(prefix="secrets-", dir=self.settings.folder) as folder:
            paths = {"ca_bundle": self.settings.ca_bundle} if self.settings.ca_bundle else {}
            for key, content in spec.secrets.items():
                paths[key] = Path(folder) / key
                paths[key].write_text(content)
            yield paths


def _builder(name: BuilderName, settings: BuildSettings, report: Report) -> Builder:
    if name != "buildah" and engine_answers():
        return Docker(settings)
    if name == "docker":
        raise PlatformError("no Docker engine answers", hint="start one, check DOCKER_HOST, or use buildah")
    return Buildah.prepare(settings, report)


def _node(cluster: HasContainerd) -> NodeImages:
    return NodeImages(tool("ctr", home=cluster.home), cluster.containerd_socket)


def _check_platforms(spec: ImageSpec) -> None:
    if foreign := set(spec.platforms) - {HOST_PLATFORM}:
        raise PlatformError(
            f"image {spec.name}: this machine builds {HOST_PLATFORM}, not {', '.join(sorted(foreign))}",
            hint="set images.platforms to what is built here, or let `pulumi up` build by Docker's buildx",
        )


def _check_contents(spec: ImageSpec) -> None:
    """Raise PlatformError when the files are no longer those that the image is named after."""
    tag = spec.ref.rpartition(":")[2]
    if not _CONTENT_HASH.fullmatch(tag):
        return
    if tag != image_hash(spec.dockerfile, spec.context, spec.build_args):
        raise PlatformError(
            f"image {spec.name}: files below {spec.context} changed after the stack was evaluated",
            hint="run this again",
        )


def _absent(specs: Sequence[ImageSpec], refs: Collection[str]) -> list[ImageSpec]:
    return [spec for spec in specs if spec.ref not in refs]


def _tidy(builder: Builder, keep: Collection[str]) -> list[str]:
    """Bound what a builder keeps: the newest of each name and of the cached stages."""
    old = _superseded(builder.refs(), keep)
    builder.remove(old)
    builder.trim(KEPT_STAGES)
    return old


def _superseded(refs: Sequence[str], keep: Collection[str]) -> list[str]:
    """Our images, of `refs` from new to old, that are neither kept nor among the newest of their name."""
    by_name: dict[str, list[str]] = defaultdict(list)
    for ref in refs:
        if _ours(ref):
            by_name[ref.rpartition(":")[0]].append(ref)
    return [ref for group in by_name.values() for ref in group[KEPT_PER_NAME:] if ref not in keep]


def _ours(ref: str) -> bool:
    return ref.startswith(LOCAL_PREFIX) and _CONTENT_HASH.fullmatch(ref.rpartition(":")[2]) is not None
