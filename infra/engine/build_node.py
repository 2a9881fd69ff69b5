"""The images of an embedded cluster's node: containerd's namespace `k8s.io`, which kubelet reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.engine.build_process import CommandError, output_of
from infra.errors import PlatformError

NAMESPACE: Final = "k8s.io"
ANSWER_SECONDS: Final = 20

_PINNED: Final = "io.cri-containerd.pinned=pinned"
"""Kubelet's garbage collection leaves such an image alone; ours could not be pulled again."""


@dataclass(frozen=True)
class NodeImages:
    """A node's images, by way of `ctr`.

    Attributes:
        ctr: Path of containerd's client.
        socket: containerd's socket.
    """

    ctr: Path
    socket: Path

    def _run(self, *arguments: str, what: str, seconds: float | None = None) -> str:
        command = [
            str(self.ctr),
            "--address",
            str(self.socket),
            "--namespace",
            NAMESPACE,
            "images",
            *arguments,
        ]
        return output_of(command, what=what, seconds=seconds)

    def refs(self) -> set[str]:
        """The references of all images.

        Raises:
            PlatformError: containerd does not answer.
        """
        try:
            return set(self._run("ls", "-q", what="listing images", seconds=ANSWER_SECONDS).split())
        except CommandError as error:
            raise PlatformError(
                f"the cluster's containerd does not answer at {self.socket}\n{error.tail}",
                hint="is the cluster up? `mcpctl cluster status`",
            ) from error

    def load(self, archive: Path, ref: str) -> None:
        """Import an archive and make sure that it brought `ref`.

        Raises:
            PlatformError: The import failed.
        """
        what = f"importing {ref} into the cluster"
        self._run("import", "--local", str(archive), what=what)  # half the time of the transfer service
        if ref not in self.refs():
            raise PlatformError(f"{what}: the archive came in under another name")
        self._run("label", ref, _PINNED, what=what)

    def remove(self, refs: list[str]) -> None:
        """Remove images; containers that run from them go on."""
        if refs:
            self._run("rm", *refs, what="removing images from the cluster")
