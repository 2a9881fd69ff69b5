"""Which index each cluster of a home has: its networks and ports follow from it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from infra.cluster.spec import LARGEST_INDEX
from infra.errors import PlatformError


def claim_index(registry: Path, directory: Path) -> int:
    """Take the lowest index that no other cluster of this home holds.

    `registry` holds one symbolic link per index, to the cluster's directory. A link whose directory is gone
    is free again.
    """
    with _alone(registry):
        for index in range(LARGEST_INDEX + 1):
            claim = registry / str(index)
            if claim.is_symlink() and not claim.exists():
                claim.unlink()
            if not claim.is_symlink():
                claim.symlink_to(directory)
            if claim.readlink() == directory:
                return index
    raise PlatformError(f"all {LARGEST_INDEX + 1} cluster indexes of {registry} are in use")


def release_index(registry: Path, index: int, directory: Path) -> None:
    """Give an index back, unless another cluster holds it by now."""
    claim = registry / str(index)
    with _alone(registry):
        if claim.is_symlink() and claim.readlink() == directory:
            claim.unlink()


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    """Nobody else is in such a block: of two who find a link stale, one would remove what the other made.

    The folder is its own lock: a file beside the links would count as one, or be deleted with what is shared.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
