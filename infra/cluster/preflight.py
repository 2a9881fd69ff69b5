"""What the machine must offer, checked before anything is changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from infra.cluster import cgroups, packages
from infra.cluster.report import Report, last_lines
from infra.errors import PlatformError

PROGRAMS = {
    "runc": ["runc"],
    "nft": ["nftables"],
    "ip": ["iproute2"],
    "unshare": ["util-linux"],
    "mount": ["mount"],
}
FILE_SYSTEMS = Path("/proc/filesystems")
CONTROLLERS = {"cpu", "memory", "pids", "cpuset"}
MINIMUM_FREE_BYTES = 2 * 2**30


def check_user() -> None:
    """Linux and root, which every command that changes a cluster needs."""
    if sys.platform != "linux":
        raise PlatformError(
            f"the embedded Kubernetes needs Linux, not {sys.platform}",
            hint="name a kubeconfig context in the stack's configuration, such as Docker Desktop's",
        )
    if os.geteuid() != 0:
        raise PlatformError(
            "the embedded Kubernetes needs root: it makes namespaces, mounts and cgroups",
            hint="use sudo, or name another cluster's kubeconfig context in the stack's configuration",
        )


def check_cgroups() -> None:
    """The controllers that the kubelet can't do without."""
    missing = CONTROLLERS - controllers()
    if missing:
        raise PlatformError(
            f"the kernel offers no cgroup controller for {', '.join(sorted(missing))} below {cgroups.ROOT}",
            hint="mount the cgroup file system, or start the machine with these controllers enabled",
        )


def controllers() -> set[str]:
    """The cgroup controllers that are mounted, of either version."""
    found: set[str] = set()
    for kind, place in cgroups.hierarchies():
        if kind == cgroups.CGROUP2:
            found.update((place / "cgroup.controllers").read_text().split())
        else:
            found.update(place.name.split(","))
    return found


def check_space(directory: Path, needed: int) -> None:
    """Enough free disk for the cluster's data."""
    existing = next(place for place in (directory, *directory.parents) if place.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise PlatformError(
            f"the disk of {existing} has {free / 2**30:.1f} GiB left; {needed / 2**30:.0f} GiB are needed",
            hint="make space, or let MCP_PLATFORM_HOME name a directory on another disk",
        )


def ensure_programs(report: Report) -> None:
    """Install the system tools that are missing, by apt where there is one."""
    packages.ensure(PROGRAMS, report, "the embedded Kubernetes")


def check_kernel() -> None:
    """The file system and packet filter that pods and Services need; tried, so after the tools are there."""
    if "overlay" not in FILE_SYSTEMS.read_text().split():
        subprocess.run(["modprobe", "overlay"], capture_output=True, check=False)
        if "overlay" not in FILE_SYSTEMS.read_text().split():
            raise PlatformError(
                "the kernel has no overlay file system", hint="load or enable its module `overlay`"
            )
    rules = "table ip mcp_platform_check { chain c { type nat hook output priority 0; }; }"
    script = 'ip link add mcp0 type veth peer name mcp1 && printf %s "$0" | nft -f -'
    command = ["unshare", "--net", "sh", "-c", script, rules]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PlatformError(
            f"the kernel can't make a node's network: {last_lines(done.stderr, 3)}",
            hint="network namespaces, veth and nftables (nf_tables, nft_chain_nat) are needed",
        )
