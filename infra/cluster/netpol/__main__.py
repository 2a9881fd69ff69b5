"""Keeps the node's nftables in step with the cluster's policies, pods and namespaces.

python -m infra.cluster.netpol DIRECTORY
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from infra.cluster.api import ApiClient, Object
from infra.cluster.following import follow_whole
from infra.cluster.netpol.model import pod_of
from infra.cluster.netpol.nftables import ruleset
from infra.cluster.netpol.verdicts import Policies
from infra.cluster.spec import API_SERVER_PORT, Layout, read_spec
from infra.errors import PlatformError

POLICIES = "/apis/networking.k8s.io/v1/networkpolicies"
PODS = "/api/v1/pods"
NAMESPACES = "/api/v1/namespaces"
SETTLE_SECONDS = 0.02
"""Changes come in bursts; one run of nft serves them all."""
RETRY_SECONDS = 1.0


class Enforcer:
    """Holds what is known of the cluster, and applies what follows from it; threads tell it of changes."""

    def __init__(self, pod_network: str, apply: Callable[[str], None]) -> None:
        self._pod_network = pod_network
        self._apply = apply
        self._objects: dict[str, dict[str, Object]] = {}
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._applied = ""

    def seen(self, path: str, objects: dict[str, Object]) -> None:
        """Take over the whole content of a collection, by uid."""
        with self._lock:
            self._objects[path] = dict(objects)
        self._changed.set()

    def run(self) -> None:
        """Apply changes as they come; never returns."""
        while True:
            self._changed.wait()
            self._changed.clear()
            threading.Event().wait(SETTLE_SECONDS)
            try:
                self.step()
            except PlatformError as error:
                print(f"{error}; trying again", flush=True)
                threading.Event().wait(RETRY_SECONDS)
                self._changed.set()

    def step(self) -> None:
        """Apply what is known now; nothing before all three collections are, and nothing twice.

        Raises:
            PlatformError: nft refused it; what was applied before stays in force.
        """
        with self._lock:
            if len(self._objects) < len((POLICIES, PODS, NAMESPACES)):
                return
            content = {path: list(objects.values()) for path, objects in self._objects.items()}
        pods = [pod for it in content[PODS] if (pod := pod_of(it)) is not None]
        namespaces = {
            it["metadata"]["name"]: it["metadata"].get("labels") or {} for it in content[NAMESPACES]
        }
        text = ruleset(Policies(content[POLICIES], pods, namespaces), pods, self._pod_network)
        if text == self._applied:
            return
        self._apply(text)
        self._applied = text
        print(f"applied {len(content[POLICIES])} policies to {len(pods)} pods", flush=True)


def nft(text: str) -> None:
    """Replace the table.

    Raises:
        PlatformError: nft refused it.
    """
    done = subprocess.run(["nft", "-f", "-"], input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PlatformError(f"nft refused the policies' table: {done.stderr.strip()}")


def main(directory: Path) -> None:
    """Follow the three collections, each on a thread and a connection of its own."""
    layout = Layout(directory)
    spec = read_spec(layout)
    if spec is None:
        raise PlatformError(f"{directory} holds no cluster")
    enforcer = Enforcer(str(spec.pod_network), nft)
    for path in (POLICIES, PODS, NAMESPACES):
        client = ApiClient(f"https://{spec.node_ip}:{API_SERVER_PORT}", layout.certificates, "netpol")
        threading.Thread(target=follow_whole, args=(client, path, enforcer.seen), daemon=True).start()
    enforcer.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
