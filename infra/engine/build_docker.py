"""Building with a Docker engine (BuildKit)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.cluster.report import Report
from infra.engine.build_process import CommandError, build_steps, output_of, registry_has
from infra.engine.build_settings import SEARCH_PATH, BuildSettings
from infra.engine.build_spec import ImageSpec

ANSWER_SECONDS: Final = 5
PULL_SECONDS: Final = 300


def engine_answers() -> bool:
    """Whether a Docker engine (by DOCKER_HOST or the current context) is there and answers."""
    if shutil.which("docker") is None:
        return False
    try:
        _docker("version", "--format", "{{.Server.Version}}", what="docker", seconds=ANSWER_SECONDS)
    except CommandError:
        return False
    return True


def _docker(*arguments: str, what: str, seconds: float | None = None) -> str:
    return output_of(["docker", *arguments], what=what, seconds=seconds)


@dataclass(frozen=True)
class Docker:
    """The Docker engine that `docker` speaks to."""

    settings: BuildSettings

    def has(self, ref: str) -> bool:
        """Whether the engine has the image."""
        try:
            _docker("image", "inspect", "--format", "{{.Id}}", ref, what="docker image inspect")
        except CommandError:
            return False
        return True

    def refs(self) -> list[str]:
        """Every named image, newest first."""
        return _docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", what="docker image ls").split()

    def label(self, ref: str, key: str) -> str:
        """A label of an image, or nothing."""
        template = f'{{{{with .Config.Labels}}}}{{{{index . "{key}"}}}}{{{{end}}}}'
        return _docker("image", "inspect", "--format", template, ref, what="docker image inspect").strip()

    def pull(self, ref: str) -> None:
        """Fetch an image from its registry."""
        _docker("pull", "--quiet", ref, what=f"pulling {ref}", seconds=PULL_SECONDS)

    def import_root(self, archive: Path, ref: str, label: tuple[str, str]) -> None:
        """Make an image of a tar archive of a root file system."""
        key, value = label
        changes = ('CMD ["bash"]', f"ENV PATH={SEARCH_PATH}", f'LABEL {key}="{value}"')
        options = [word for change in changes for word in ("--change", change)]
        _docker("import", *options, str(archive), ref, what=f"importing {ref}")

    def build(
        self, spec: ImageSpec, args: Mapping[str, str], secrets: Mapping[str, Path], report: Report
    ) -> None:
        """Build one image; unchanged steps come from the engine's cache."""
        command = [
            *("docker", "build", "--progress", "plain"),
            *("--file", str(spec.dockerfile), "--tag", spec.ref),
            *(word for key, value in args.items() for word in ("--build-arg", f"{key}={value}")),
            # By name only: BuildKit takes the values from the environment and keeps them out of the image.
            *(word for name in self.settings.proxies for word in ("--build-arg", name)),
            *(word for key, path in secrets.items() for word in ("--secret", f"id={key},src={path}")),
            *(("--target", spec.target) if spec.target else ()),
            str(spec.context),
        ]
        what = f"image {spec.name}: building {spec.dockerfile}"
        build_steps(command, what=what, env={**os.environ, "DOCKER_BUILDKIT": "1"}, on_step=report)

    def save(self, ref: str, archive: Path) -> None:
        """Write an image to a file that containerd imports, under its own name."""
        _docker("save", "--output", str(archive), ref, what=f"saving {ref}")

    def published(self, ref: str) -> bool:
        """Whether the image's registry has it."""
        return registry_has(["docker", "manifest", "inspect", ref], ref)

    def push(self, ref: str) -> None:
        """Send an image to its registry; the login is the user's own (`docker login`)."""
        _docker("push", "--quiet", ref, what=f"pushing {ref}")

    def trim(self, count: int) -> None:
        """Leave that to the engine, which bounds its build cache itself (`builder.gc` in daemon.json)."""

    def remove(self, refs: list[str]) -> None:
        """Remove names, and the images that no name is left of."""
        if refs:
            _docker("image", "rm", "--force", *refs, what="docker image rm")
