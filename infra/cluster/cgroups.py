"""The control groups that a cluster's processes and pods live in: `mcp-<name>` in every hierarchy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from infra.errors import PlatformError

ROOT = Path("/sys/fs/cgroup")
MOUNTS = Path("/proc/self/mounts")
CGROUP, CGROUP2 = "cgroup", "cgroup2"


def hierarchies(mounts: Path = MOUNTS) -> Iterator[tuple[str, Path]]:
    """Each cgroup hierarchy below /sys/fs/cgroup: its kind (cgroup or cgroup2) and where it is mounted."""
    for line in mounts.read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind in (CGROUP, CGROUP2) and Path(place).is_relative_to(ROOT):
            yield kind, Path(place)


def is_unified(mounts: Path = MOUNTS) -> bool:
    """Whether the machine has cgroup v2 only."""
    return (CGROUP2, ROOT) in list(hierarchies(mounts))


def create(name: str) -> None:
    """Make a cluster's group in every hierarchy that Kubernetes uses."""
    unified = is_unified()
    for kind, place in hierarchies():
        group = place / name
        if kind == CGROUP2 and not unified:
            continue  # hybrid: the v1 hierarchies hold the controllers
        group.mkdir(exist_ok=True)
        if kind == CGROUP2:
            _delegate(place, group)
        elif (group / "cpuset.cpus").exists():
            for file in ("cpuset.cpus", "cpuset.mems"):
                (group / file).write_text((place / file).read_text())


def enter(name: str) -> None:
    """Move this process, and so all that it will start, to the part of the group that is not for pods."""
    for _, place in hierarchies():
        if (place / name).is_dir():
            group = place / name / "node"
            group.mkdir(exist_ok=True)
            if (group / "cpuset.cpus").exists():
                for file in ("cpuset.cpus", "cpuset.mems"):
                    (group / file).write_text((place / name / file).read_text())
            (group / "cgroup.procs").write_text(str(os.getpid()))


def remove(name: str) -> list[Path]:
    """Remove a cluster's groups, which must be empty of processes; those that could not be removed."""
    left: list[Path] = []
    for _, place in hierarchies():
        top = place / name
        for directory, _, _ in os.walk(top, topdown=False):
            try:
                Path(directory).rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                left.append(Path(directory))
    return left


def processes(name: str) -> set[int]:
    """The processes of a cluster's pods, from whichever hierarchy knows them."""
    found: set[int] = set()
    for _, place in hierarchies():
        # os.walk, unlike Path.rglob, passes over a group that ends while we look.
        for directory, _, _ in os.walk(place / name / "kubepods"):
            try:
                text = (Path(directory) / "cgroup.procs").read_text()
            except OSError:
                continue
            found.update(map(int, text.split()))
    return found


def _delegate(root: Path, group: Path) -> None:
    """Hand every controller that the machine has to the cluster's group (cgroup v2)."""
    wanted = (root / "cgroup.controllers").read_text().split()
    line = " ".join(f"+{controller}" for controller in wanted)
    for place in (root, group):
        try:
            (place / "cgroup.subtree_control").write_text(line)
        except OSError as error:
            raise PlatformError(
                f"the cgroup controllers of {place} can't be handed on: {error.strerror}",
                hint="in a container, give it a cgroup namespace, and its first process a group of its own",
            ) from error
