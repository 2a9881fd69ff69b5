"""The images of an embedded cluster's node: containerd's namespace `k8s.io`, which kubelet reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.engine.build_process import CommandError, output_of
from infra.errors import PlatformError

NAMESPACE: Final = "k8s.io"
ANSWER_SECONDS: Final = 20

_BY_ID: Final = "sha256:"
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

    def run(self, *arguments: str, what: str, seconds: float | None = None) -> str:
        """Run `ctr images …`; CommandError when it fails."""
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
        """The names of all images.

        Raises:
            PlatformError: containerd does not answer.
        """
        return {ref for ref in self.targets() if not ref.startswith(_BY_ID)}

    def targets(self) -> dict[str, str]:
        """Digest of what each reference stands for; the CRI plugin refers to every image by its id, too."""
        try:
            table = self.run("ls", what="listing images", seconds=ANSWER_SECONDS)
        except CommandError as error:
            raise PlatformError(
                f"the cluster's containerd does not answer at {self.socket}\n{error.tail}",
                hint="is the cluster up? `mcpctl cluster status`",
            ) from error
        rows = (line.split() for line in table.splitlines()[1:])  # REF TYPE DIGEST SIZE …
        return {row[0]: row[2] for row in rows}

    def load(self, archive: Path, ref: str) -> None:
        """Import an archive and make sure that it brought `ref`.

        Raises:
            PlatformError: The import failed.
        """
        what = f"importing {ref} into the cluster"
        self.run("import", "--local", str(archive), what=what)  # half the time of the transfer service
        if ref not in self.refs():
            raise PlatformError(f"{what}: the archive came in under another name")
        self.run("label", ref, _PINNED, what=what)

    def remove(self, refs: list[str]) -> None:
        """Remove images, freeing what no other name stands for; containers that run from them go on."""
        if not refs:
            return
        targets = self.targets()
        gone = {targets[ref] for ref in refs}
        kept = {digest for ref, digest in targets.items() if ref not in refs and not ref.startswith(_BY_ID)}
        ids = [ref for ref, digest in targets.items() if ref.startswith(_BY_ID) and digest in gone - kept]
        self.run("rm", *refs, *ids, what="removing images from the cluster")
