"""Building with buildah: no engine, no daemon, a storage of our own."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from infra.cluster import packages
from infra.cluster.report import Report, silent
from infra.engine.build_process import CommandError, build_steps, output_of, registry_has
from infra.engine.build_settings import SEARCH_PATH, BuildSettings
from infra.engine.build_spec import ImageSpec
from infra.errors import PlatformError

PULL_SECONDS: Final = 300


@dataclass(frozen=True)
class Buildah:
    """buildah with its storage below `images/storage`; the user's default storage is never touched."""

    settings: BuildSettings
    driver: str
    report: Report = silent

    @classmethod
    def prepare(cls, settings: BuildSettings, report: Report) -> Buildah:
        """Install buildah when it is missing, and find out which storage driver works here.

        Raises:
            PlatformError: There is no buildah to be had, or no root.
        """
        packages.ensure({"buildah": ["buildah"]}, report, "building images without a Docker engine")
        if os.geteuid() != 0:
            raise PlatformError(
                f"images are built by root in {settings.folder}", hint="run as root, or start a Docker engine"
            )
        overlay = cls(settings, "overlay", report)
        try:
            overlay.run("info", what="buildah")
        except CommandError:  # such as below another overlay, inside a container
            return cls(settings, "vfs", report)
        return overlay

    @property
    def run_folder(self) -> Path:
        """Counts of mounts, which must not outlive a reboot; one for each home."""
        home = hashlib.sha256(str(self.settings.folder.resolve()).encode()).hexdigest()[:8]
        return Path(f"/run/mcp-platform/images-{home}")

    @property
    def _command(self) -> list[str]:
        return [
            "buildah",
            *("--root", str(self.settings.folder / "storage" / self.driver)),
            *("--runroot", str(self.run_folder)),
            *("--storage-driver", self.driver),
        ]

    @property
    def _env(self) -> dict[str, str]:
        return {**os.environ, "TMPDIR": str(self.settings.folder)}

    def run(self, *arguments: str, what: str, seconds: float | None = None) -> str:
        """Run a buildah command on this storage; CommandError when it fails."""
        return output_of([*self._command, *arguments], what=what, env=self._env, seconds=seconds)

    def has(self, ref: str) -> bool:
        """Whether the image is in the storage."""
        return ref in self.refs()

    def refs(self) -> list[str]:
        """Every named image in the storage, newest first."""
        return [name for image in self.images() for name in image.get("names") or []]

    def images(self) -> list[dict[str, Any]]:
        """Images that are not just steps on the way to another, newest first."""
        images: list[dict[str, Any]] = json.loads(self.run("images", "--json", what="buildah images") or "[]")
        return sorted(images, key=lambda image: str(image["createdatraw"]), reverse=True)

    def label(self, ref: str, key: str) -> str:
        """A label of an image, or nothing."""
        labels = self.inspect(ref)["OCIv1"]["config"].get("Labels") or {}
        return labels.get(key, "")

    def inspect(self, ref: str) -> dict[str, Any]:
        """An image's configuration, in the forms of Docker and of OCI."""
        return json.loads(self.run("inspect", "--type", "image", ref, what=f"buildah inspect {ref}"))

    def pull(self, ref: str) -> None:
        """Fetch an image from its registry."""
        self.run("pull", "--quiet", ref, what=f"pulling {ref}", seconds=PULL_SECONDS)

    def import_root(self, archive: Path, ref: str, label: tuple[str, str]) -> None:
        """Make an image of a tar archive of a root file system."""
        what = f"importing {ref}"
        container = self.run("from", "scratch", what=what).strip()
        try:
            self.run("add", "--quiet", container, str(archive), "/", what=what)
            options = ["--cmd", "bash", "--env", f"PATH={SEARCH_PATH}", "--label", "=".join(label)]
            self.run("config", *options, container, what=what)
            self.run("commit", "--quiet", "--format", "docker", container, ref, what=what)
        finally:
            self.run("rm", container, what=what)

    def build(
        self, spec: ImageSpec, args: Mapping[str, str], secrets: Mapping[str, Path], report: Report
    ) -> None:
        """Build one image; unchanged steps come from the storage."""
        # What an earlier build that was killed left behind; nobody else builds here while we hold the lock.
        self.run("rm", "--all", what="buildah rm")
        ignored = spec.dockerfile.with_name(f"{spec.dockerfile.name}.dockerignore")  # as Docker has it
        command = [
            *self._command,
            *("build", "--isolation", "chroot", "--network", "host", "--pull=missing", "--layers"),
            *("--format", "docker"),  # OCI's has no HEALTHCHECK
            *("--file", str(spec.dockerfile), "--tag", spec.ref),
            *(word for key, value in args.items() for word in ("--build-arg", f"{key}={value}")),
            *(word for key, path in secrets.items() for word in ("--secret", f"id={key},src={path}")),
            *(("--target", spec.target) if spec.target else ()),
            *(("--ignorefile", str(ignored)) if ignored.is_file() else ()),
            str(spec.context),
        ]
        what = f"image {spec.name}: building {spec.dockerfile}"
        build_steps(command, what=what, env=self._env, on_step=report)

    def save(self, ref: str, archive: Path) -> None:
        """Write an image to a file that containerd and Docker import, under its own name."""
        self.run("push", "--quiet", ref, f"docker-archive:{archive}:{ref}", what=f"saving {ref}")

    def published(self, ref: str) -> bool:
        """Whether the image's registry has it."""
        # buildah itself would ask its own storage first.
        packages.ensure({"skopeo": ["skopeo"]}, self.report, "pushing images")
        # buildah reads this variable itself; skopeo has to be told.
        settings = os.environ.get("CONTAINERS_REGISTRIES_CONF")
        options = ["--registries-conf", settings] if settings else []
        return registry_has(["skopeo", *options, "inspect", "--raw", f"docker://{ref}"], ref)

    def push(self, ref: str) -> None:
        """Send an image to its registry; the login is the user's own (`buildah login`)."""
        self.run("push", "--quiet", ref, f"docker://{ref}", what=f"pushing {ref}")

    def trim(self, count: int) -> None:
        """Keep only the newest so many of the stages that are cached for later builds."""
        stages = [str(image["id"]) for image in self.images() if not image.get("names")]
        for stage in stages[count:]:
            self.run("rmi", stage, what="buildah rmi")

    def remove(self, refs: list[str]) -> None:
        """Remove names, the images that no name is left of, and the steps kept for them."""
        if refs:
            self.run("rmi", "--force", *refs, what="buildah rmi")
