"""etcd and the API server alone, as plain processes: enough to have objects accepted or refused, for real."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from infra.cluster import silent, spec, tool
from infra.cluster.golang import find_go
from infra.cluster.modules import ETCD
from infra.engine.kubectl import Kubectl

CRDS = Path(__file__).parent / "crds"
_CONTEXT = "control-plane"
_START_SECONDS = 300.0
_ESTABLISHED_SECONDS = 120.0


@dataclass(frozen=True)
class ControlPlane:
    """A running API server."""

    kubectl: Kubectl
    folder: Path


@contextmanager
def control_plane(folder: Path) -> Generator[ControlPlane]:
    """An API server with its own etcd, which end with the block."""
    token = secrets.token_hex(16)
    (folder / "tokens.csv").write_text(f'{token},test,test,"system:masters"\n')
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "accounts.key").write_bytes(key.private_bytes(*pem))
    with (
        _reserved_ports(3) as (etcd_port, peer_port, api_port),
        _running(_etcd(folder, etcd_port, peer_port), folder / "etcd.log"),
        _running(_api_server(folder, etcd_port, api_port), folder / "api.log") as process,
    ):
        kubectl = Kubectl(tool("kubectl", silent), _CONTEXT, _kubeconfig(folder, api_port, token))
        deadline = time.monotonic() + _START_SECONDS
        while process.poll() is None and kubectl_is_refused(kubectl):
            assert time.monotonic() < deadline, (folder / "api.log").read_text()[-2000:]
            time.sleep(0.2)
        assert process.poll() is None, (folder / "api.log").read_text()[-2000:]
        yield ControlPlane(kubectl, folder)


def _etcd(folder: Path, port: int, peer_port: int) -> list[str]:
    return [
        str(tool(ETCD, silent)),
        f"--data-dir={folder}/etcd",
        f"--listen-client-urls=http://127.0.0.1:{port}",
        f"--advertise-client-urls=http://127.0.0.1:{port}",
        f"--listen-peer-urls=http://127.0.0.1:{peer_port}",
        "--socket-reuse-port",
        "--unsafe-no-fsync",
    ]


def _api_server(folder: Path, etcd_port: int, port: int) -> list[str]:
    return [
        str(tool("kube-apiserver", silent)),
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        "--permit-port-sharing",
        f"--cert-dir={folder}/certificates",
        f"--etcd-servers=http://127.0.0.1:{etcd_port}",
        f"--token-auth-file={folder}/tokens.csv",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.97.0.0/24",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={folder}/accounts.key",
        f"--service-account-signing-key-file={folder}/accounts.key",
        "--endpoint-reconciler-type=none",
    ]


def kubectl_is_refused(kubectl: Kubectl) -> bool:
    command = [*kubectl.command, "get", "--raw", "/readyz"]
    return subprocess.run(command, capture_output=True, check=False).returncode != 0


def module_folder(module: str, pins: Path = CRDS) -> Path:
    """The sources of a Go module, which the go.mod in `pins` pins."""
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": ""}
    command = [find_go(spec.home(), silent), "mod", "download", "-json", module]
    done = subprocess.run(
        command, cwd=pins, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(json.loads(done.stdout)["Dir"])


def install_crds(kubectl: Kubectl, module: str, *patterns: str, pins: Path = CRDS) -> None:
    """Install the CRDs that files of a pinned Go module declare."""
    folder = module_folder(module, pins)
    files = [path for pattern in patterns for path in sorted(folder.glob(pattern))]
    assert len(files) >= len(patterns)
    kubectl.apply([item for path in files for item in yaml.safe_load_all(path.read_text()) if item])
    wait_for_crds(kubectl)


def wait_for_crds(kubectl: Kubectl) -> None:
    """Wait until the server serves every CRD that it has, and says so to who looks for kinds.

    `kubectl wait --for=condition=Established` fails on a CRD so young that it has no conditions.
    """
    deadline = time.monotonic() + _ESTABLISHED_SECONDS
    while missing := _not_served(kubectl):
        assert time.monotonic() < deadline, f"not served: {', '.join(missing)}"
        time.sleep(0.2)


def _not_served(kubectl: Kubectl) -> list[str]:
    crds = kubectl.list_all("crd")
    told = set(kubectl.run("api-resources", "--cached=false", "--output=name").out.split())
    return [
        item["metadata"]["name"]
        for item in crds
        if not _is_established(item) or item["metadata"]["name"] not in told
    ]


def _is_established(crd: Mapping[str, Any]) -> bool:
    conditions = crd.get("status", {}).get("conditions") or []
    return any(item["type"] == "Established" and item["status"] == "True" for item in conditions)


def _kubeconfig(folder: Path, port: int, token: str) -> Path:
    authority = str(folder / "certificates" / "apiserver.crt")
    server = {"server": f"https://127.0.0.1:{port}", "certificate-authority": authority}
    path = folder / "kubeconfig"
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": _CONTEXT, "cluster": server}],
                "users": [{"name": _CONTEXT, "user": {"token": token}}],
                "contexts": [{"name": _CONTEXT, "context": {"cluster": _CONTEXT, "user": _CONTEXT}}],
            }
        )
    )
    return path


@contextmanager
def _reserved_ports(count: int) -> Generator[list[int]]:
    """Ports that nobody else gets within the block: they stay bound, for servers that share ports."""
    with ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in held:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            one.bind(("127.0.0.1", 0))
        yield [one.getsockname()[1] for one in held]


@contextmanager
def _running(command: list[str], log: Path) -> Generator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
