"""Turns the namespaces that the supervisor was started in into a node.

Runs inside new process, mount and network namespaces (see launch.py), so whatever is done here ends with
them: no interface, route, mount or firewall rule is ever made outside.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from infra.cluster.spec import ClusterSpec, Layout
from infra.errors import PlatformError

# Programs of the node write here whatever their configuration says, and two clusters must not meet.
PRIVATE_DIRECTORIES = ("/run/containerd", "/var/lib/cni", "/var/log/containers")

MOUNT_SOURCE = "mcp-platform"  # what /proc/mounts shows for them

# The kubelet insists on these and sets them for the whole machine. It is shown these values instead, and the
# machine keeps its own: k8s.io/component-helpers/node/util/sysctl.
SHOWN_SETTINGS = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1000000,
    "kernel/keys/root_maxbytes": 25000000,
}


def prepare(spec: ClusterSpec, layout: Layout) -> None:
    """Mounts and network of the node."""
    prepare_mounts(layout)
    prepare_network(spec)


def prepare_mounts(layout: Layout) -> None:
    """Private directories, and kernel settings that only look changed."""
    # Volumes that a pod asks to see mounted later need shared mounts; the host's side was cut off when
    # unsharing.
    run("mount", "--make-rshared", "/")
    for directory in (*PRIVATE_DIRECTORIES, str(layout.containerd / "state")):
        Path(directory).mkdir(parents=True, exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", "mode=0755", MOUNT_SOURCE, directory)
    shown = layout.config / "kernel"
    shown.mkdir(exist_ok=True)
    for setting, value in SHOWN_SETTINGS.items():
        real, file = Path("/proc/sys") / setting, shown / setting.replace("/", ".")
        if real.read_text().strip() != str(value):
            file.write_text(f"{value}\n")
            run("mount", "--bind", str(file), str(real))


def prepare_network(spec: ClusterSpec) -> None:
    """The node's address on an interface of its own, and a route that makes Service addresses reachable.

    Without a default route; packets to a Service address leave for `eth0` only until kube-proxy's rule turns
    them.
    """
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0-peer")
    run("ip", "link", "set", "eth0-peer", "up")
    run("ip", "link", "set", "eth0", "up")
    run("ip", "address", "add", f"{spec.node_ip}/32", "dev", "eth0")
    run("ip", "route", "add", str(spec.service_network), "dev", "eth0", "src", str(spec.node_ip))
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1\n")


def run(*command: str) -> None:
    """Run a system tool to its end."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PlatformError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
