"""What a builder can do, whichever it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from infra.cluster.report import Report
from infra.engine.build_spec import ImageSpec


class Builder(Protocol):
    """What builds, keeps and sends images: buildah or a Docker engine.

    Every method raises `CommandError` when the builder's command fails.
    """

    def has(self, ref: str) -> bool:
        """Whether it keeps the image."""
        ...

    def refs(self) -> list[str]:
        """Every named image that it keeps, newest first."""
        ...

    def label(self, ref: str, key: str) -> str:
        """A label of an image that it keeps, or nothing."""
        ...

    def pull(self, ref: str) -> None:
        """Fetch an image from its registry."""
        ...

    def import_root(self, archive: Path, ref: str, label: tuple[str, str]) -> None:
        """Make an image of a tar archive of a root file system."""
        ...

    def build(
        self, spec: ImageSpec, args: Mapping[str, str], secrets: Mapping[str, Path], report: Report
    ) -> None:
        """Build one image with these build arguments and secrets; unchanged steps come from the cache."""
        ...

    def save(self, ref: str, archive: Path) -> None:
        """Write an image, under its own name, to a new file that containerd and Docker import."""
        ...

    def published(self, ref: str) -> bool:
        """Whether the image's registry has it; raises CommandError when that can't be found out."""
        ...

    def push(self, ref: str) -> None:
        """Send an image to its registry; the login is the user's own."""
        ...

    def trim(self, count: int) -> None:
        """Keep only the newest so many of the stages that are cached for later builds."""
        ...

    def remove(self, refs: list[str]) -> None:
        """Forget names, and the images that no name is left of."""
        ...
