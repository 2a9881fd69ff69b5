"""What the tests of a running cluster share: kubectl, an image of our own, and what pods look like."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from infra.cluster import Cluster, images, silent
from infra.cluster.golang import find_go

IMAGE = "localhost/mcp-platform/probe:1"
SOURCE = Path(__file__).parent / "probe"


@dataclass(frozen=True)
class Kubectl:
    """kubectl of one cluster."""

    cluster: Cluster

    def run(self, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, whatever its exit code."""
        command = [self.cluster.toolbox.path("kubectl"), "--kubeconfig", self.cluster.kubeconfig, *arguments]
        return subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=300)

    def __call__(self, *arguments: str, text: str | None = None) -> str:
        """The output of a command that must succeed."""
        done = self.run(*arguments, text=text)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout.strip()

    def apply(self, *objects: dict[str, Any]) -> None:
        """Apply objects."""
        self(
            "apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        )

    def get(self, *arguments: str) -> Any:
        """An object or a list, parsed."""
        return json.loads(self("get", *arguments, "-o", "json"))


def import_probe(cluster: Cluster) -> None:
    """Build the tests' program and import it as an image."""
    with TemporaryDirectory() as directory:
        program, archive = Path(directory) / "probe", Path(directory) / "probe.tar"
        environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": ""}
        go = find_go(cluster.home, silent)
        command = [go, "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "."]
        subprocess.run(command, cwd=SOURCE, env=environment, check=True)
        images.write_archive(archive, IMAGE, {"probe": program.read_bytes()}, ["/probe"])
        images.load(cluster.toolbox.path("ctr"), cluster.containerd_socket, archive)


def namespace(name: str) -> dict[str, Any]:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def claim(name: str, in_namespace: str) -> dict[str, Any]:
    """A claim of the default StorageClass."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "16Mi"}}}
    metadata = {"name": name, "namespace": in_namespace}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def pod(name: str, in_namespace: str, claim_name: str) -> dict[str, Any]:
    """A pod that serves its volume, as "restricted" wants it."""
    container = {
        "name": "probe",
        "image": IMAGE,
        "args": ["serve", "/data"],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/starts", "port": 8080}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    security = {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "fsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": in_namespace, "labels": {"app": name}},
        "spec": {
            "securityContext": security,
            "containers": [container],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim_name}}],
        },
    }


def service(name: str, in_namespace: str) -> dict[str, Any]:
    """A Service for a pod, on the NodePort that the host reaches."""
    ports = [{"port": 80, "targetPort": 8080, "nodePort": 30080}]
    spec = {"type": "NodePort", "selector": {"app": name}, "ports": ports}
    metadata = {"name": name, "namespace": in_namespace}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def eventually(check: Callable[[], bool], what: str, seconds: float = 180) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.2)
