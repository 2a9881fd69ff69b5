"""Deletes directories that something may be mounted in."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from infra.errors import PlatformError

MOUNTS = Path("/proc/self/mountinfo")


def mounts_below(directory: Path) -> list[Path]:
    """What is mounted in a directory, the latest mount first."""
    fields = [line.split()[4] for line in MOUNTS.read_bytes().splitlines()]
    # The kernel writes blanks and backslashes as octal escapes (proc(5)).
    places = [Path(os.fsdecode(field.decode("unicode_escape").encode("latin-1"))) for field in fields]
    return [place for place in reversed(places) if place.is_relative_to(directory)]


def remove_tree(directory: Path) -> None:
    """Delete a directory, but never what is mounted in it; of a symbolic link, only the link.

    Raises:
        PlatformError: Something stays mounted in it.
    """
    if directory.is_symlink():
        directory.unlink()
        return
    for place in mounts_below(directory):
        subprocess.run(["umount", str(place)], capture_output=True, check=False)
    if left := mounts_below(directory):
        raise PlatformError(
            f"{left[0]} is mounted and in use", hint=f"end what uses it, then `umount {left[0]}`"
        )
    if directory.exists():
        shutil.rmtree(directory)
