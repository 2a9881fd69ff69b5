"""Process 1 of a cluster: prepares the node, keeps its components running, stops them in order.

It is started in process, mount and network namespaces of its own (launch.py). When it ends, however it ends,
the kernel ends every process of the cluster and frees every mount and interface: nothing can be left behind.

    python -m infra.cluster.supervisor DIRECTORY TOOLS API_SOCKET GATEWAY_SOCKET [--no-fsync]
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import resource
import signal
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from infra.cluster import addons, cgroups, launch, node
from infra.cluster.api import ApiClient
from infra.cluster.components import OBJECTS, Component, components
from infra.cluster.configs import LOG_LIMIT_BYTES
from infra.cluster.processes import handles, parent_pid
from infra.cluster.runner import Runner, rotate, tell
from infra.cluster.spec import API_SERVER_PORT, ClusterSpec, Layout, read_spec, write_atomically
from infra.errors import PlatformError

TICK = 1.0
RETRY_SECONDS = 1.0
POD_GRACE = 25.0  # seconds; what a pod of ours needs to drain, and a little more
COMPONENT_GRACE = 10.0

# Who stops after whom: the kubelet first, or it would restart the pods' containers; storage last.
KUBELET = "kubelet"
STORES = ("containerd", "etcd")


class Supervisor:
    """The runners of one cluster."""

    def __init__(self, spec: ClusterSpec, layout: Layout, wanted: Iterable[Component]) -> None:
        self.spec = spec
        self.layout = layout
        self.lock = threading.Lock()
        self.is_published = False
        wanted = list(wanted)
        self.ready = {
            name: threading.Event() for name in (OBJECTS, *(component.name for component in wanted))
        }
        self.runners = [Runner(component, layout, self.ready, self.publish) for component in wanted]

    def publish(self) -> None:
        """Write every component's condition where `status` reads it; `run` repeats what could not be."""
        with self.lock:
            conditions = [asdict(runner.condition) for runner in self.runners]
            try:
                write_atomically(self.layout.status_file, json.dumps(conditions, indent=1))
                self.is_published = True
            except OSError as error:
                self.is_published = False
                tell(f"{self.layout.status_file} can't be written: {error}")

    def set_up(self) -> None:
        """Make the cluster's own objects once the API server takes them; some components wait for that."""
        self.ready["kube-apiserver"].wait()
        server = f"https://{self.spec.node_ip}:{API_SERVER_PORT}"
        client = ApiClient(server, self.layout.certificates, "bootstrap")
        while not self.ready[OBJECTS].is_set():
            try:
                addons.apply_all(client, self.spec, self.layout)
                self.ready[OBJECTS].set()
            except (OSError, http.client.HTTPException, PlatformError) as error:
                tell(f"the cluster's own objects: {error}; trying again")
                time.sleep(RETRY_SECONDS)
        client.close()

    def run(self, stop: threading.Event) -> None:
        """Keep everything running until `stop` is set, then stop it."""
        threading.Thread(target=self.set_up, name="set-up", daemon=True).start()
        for runner in self.runners:
            runner.start()
        while not stop.wait(TICK):
            reap({runner.process.pid for runner in self.runners if runner.process})
            if not self.is_published:
                self.publish()
            for name in (launch.LOG, *(runner.component.name for runner in self.runners)):
                rotate(self.layout.log(name), LOG_LIMIT_BYTES)
        self.stop()

    def stop(self) -> None:
        """Stop the kubelet, then the pods, then the other components, then what stores."""
        by_name = {runner.component.name: runner for runner in self.runners}
        end([by_name[KUBELET]])
        end_pods(self.layout.cgroup)
        end(runner for name, runner in by_name.items() if name not in (KUBELET, *STORES))
        end(by_name[name] for name in STORES)


def end(runners: Iterable[Runner]) -> None:
    """Stop some components at the same time, by force when they take too long."""
    ending = list(runners)
    for runner in ending:
        runner.stop()
    deadline = time.monotonic() + COMPONENT_GRACE
    for runner in ending:
        runner.join(max(0, deadline - time.monotonic()))
        if runner.is_alive():
            tell(f"{runner.component.name} did not end within {COMPONENT_GRACE:g} s; killing it")
            runner.kill()
            runner.join()


def end_pods(cgroup: str) -> None:
    """Ask the first process of every container to end, and wait for all of them.

    Process 1 of a container is deaf to signals that it has no handler for: there is nothing to wait for then.
    Those that are still there afterwards end with the process namespace.
    """
    for pid in main_processes(cgroups.processes(cgroup)):
        try:
            os.kill(pid, signal.SIGTERM if handles(pid, signal.SIGTERM) else signal.SIGKILL)
        except ProcessLookupError:
            continue
    deadline = time.monotonic() + POD_GRACE
    while cgroups.processes(cgroup) and time.monotonic() < deadline:
        reap(set())
        time.sleep(0.1)


def main_processes(pids: set[int]) -> set[int]:
    """Those whose parent is not among them: what a container was started with."""
    return {pid for pid in pids if parent_pid(pid) not in pids}


def reap(known: set[int]) -> None:
    """Take note of the deaths of processes that we inherited (container shims, and what they leave behind).

    `known` are the components: their runners wait for them, and need the exit code.
    """
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if found is None or found.si_pid in known:
            return
        try:
            os.waitpid(found.si_pid, os.WNOHANG)
        except ChildProcessError:
            return  # a component that ended just now; its runner was first


def allow_open_files() -> None:
    """Let pods open as many files as the machine allows, not as few as a login shell's default."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main() -> None:
    """Run the cluster that lives in a directory."""
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("tools", type=Path)
    parser.add_argument("sockets", type=int, nargs=2)
    parser.add_argument("--no-fsync", action="store_true")
    arguments = parser.parse_args()
    layout = Layout(arguments.directory)
    spec = read_spec(layout)
    if spec is None:
        raise PlatformError(f"{layout.root} holds no cluster")
    stop = threading.Event()

    def ask_to_stop(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask_to_stop)
    allow_open_files()
    cgroups.create(layout.cgroup)
    cgroups.enter(layout.cgroup)
    node.prepare(spec, layout)
    api_socket, gateway_socket = arguments.sockets
    wanted = components(
        spec,
        layout,
        arguments.tools,
        api_socket=api_socket,
        gateway_socket=gateway_socket,
        fsync=not arguments.no_fsync,
    )
    supervisor = Supervisor(spec, layout, wanted)
    supervisor.publish()
    supervisor.run(stop)


if __name__ == "__main__":
    main()
