"""What an embedded cluster is made of on paper: its name, addresses, ports and directories."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from infra.errors import PlatformError

DEFAULT_HOME = Path("/var/lib/mcp-platform")
DEFAULT_NAME = "default"
NAME_PATTERN = re.compile(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?")

# Inside the node's own network namespace, so only the two clusters' operators ever tell them apart.
NODE_NETWORK = "10.250.{index}.0/24"
POD_NETWORK = "10.244.{index}.0/24"
SERVICE_NETWORK = "10.96.{index}.0/24"
LARGEST_INDEX = 255

CLUSTER_CA = "ca"  # below certificates/: the authority that every component trusts

API_SERVER_PORT = 6443
GATEWAY_NODE_PORT = 30080
DEFAULT_API_PORT = 16443
DEFAULT_GATEWAY_PORT = 8080
NAMED_GATEWAY_PORT = 18080

LONGEST_SOCKET_PATH = 107  # sun_path, unix(7), without its closing zero


def home() -> Path:
    """Where machine-wide data lives: `$MCP_PLATFORM_HOME`, else /var/lib/mcp-platform."""
    return Path(os.environ.get("MCP_PLATFORM_HOME") or DEFAULT_HOME)


@dataclass(frozen=True, kw_only=True)
class ClusterSpec:
    """One cluster's identity; every address follows from `index`, which no two clusters of a home share."""

    name: str
    index: int
    api_port: int
    gateway_port: int

    def __post_init__(self) -> None:
        check_name(self.name)
        for what, port in (("API port", self.api_port), ("gateway port", self.gateway_port)):
            if not 1 <= port <= 65535:  # noqa: PLR2004 - the port numbers there are
                raise PlatformError(f"cluster {self.name}: {what} {port} is not between 1 and 65535")
        if self.api_port == self.gateway_port:
            raise PlatformError(
                f"cluster {self.name}: the API and the gateway can't share port {self.api_port}"
            )

    @property
    def node_name(self) -> str:
        """The name of the cluster's only Node."""
        return f"mcp-{self.name}"

    @property
    def context(self) -> str:
        """The kubeconfig context of this cluster."""
        return f"mcp-{self.name}"

    @property
    def node_ip(self) -> IPv4Address:
        """The node's address, inside its own network namespace."""
        return IPv4Network(NODE_NETWORK.format(index=self.index))[1]

    @property
    def pod_network(self) -> IPv4Network:
        """Pods get their addresses here."""
        return IPv4Network(POD_NETWORK.format(index=self.index))

    @property
    def service_network(self) -> IPv4Network:
        """Services get their cluster IPs here."""
        return IPv4Network(SERVICE_NETWORK.format(index=self.index))

    @property
    def api_service_ip(self) -> IPv4Address:
        """The address of the Service `kubernetes`: always the first, as Kubernetes defines it."""
        return self.service_network[1]

    @property
    def dns_ip(self) -> IPv4Address:
        """The address of the Service `kube-dns`: the tenth, by convention."""
        return self.service_network[10]

    @property
    def api_url(self) -> str:
        """The API server as the host reaches it."""
        return f"https://127.0.0.1:{self.api_port}"

    @property
    def gateway_url(self) -> str:
        """The MCP gateway's NodePort as the host reaches it."""
        return f"http://127.0.0.1:{self.gateway_port}"


def check_name(name: str) -> None:
    """Refuse a name that can't be part of a node's and a directory's name."""
    if not NAME_PATTERN.fullmatch(name):
        raise PlatformError(
            f"cluster name {name!r} is not valid",
            hint="use 1 to 30 lower-case letters, digits and dashes, with no dash at either end",
        )


def default_ports(name: str, index: int) -> tuple[int, int]:
    """The host ports (API, gateway) of a cluster that was not told any."""
    if name == DEFAULT_NAME:
        return DEFAULT_API_PORT, DEFAULT_GATEWAY_PORT
    return DEFAULT_API_PORT + 1 + index, NAMED_GATEWAY_PORT + 1 + index


@dataclass(frozen=True)
class Layout:
    """Where a cluster keeps its files: everything under one directory that only root may read."""

    root: Path

    @property
    def spec_file(self) -> Path:
        """The ClusterSpec."""
        return self.root / "cluster.json"

    @property
    def certificates(self) -> Path:
        """Keys and certificates."""
        return self.root / "certificates"

    @property
    def kubeconfigs(self) -> Path:
        """One kubeconfig for each component."""
        return self.root / "kubeconfigs"

    @property
    def admin_kubeconfig(self) -> Path:
        """The user's kubeconfig: reaches the API server from the host."""
        return self.root / "kubeconfig"

    @property
    def config(self) -> Path:
        """Generated configuration of the components."""
        return self.root / "config"

    @property
    def logs(self) -> Path:
        """One log for each component, and the pods' logs."""
        return self.root / "logs"

    @property
    def etcd(self) -> Path:
        """The database: every Kubernetes object."""
        return self.root / "etcd"

    @property
    def containerd(self) -> Path:
        """Images and containers."""
        return self.root / "containerd"

    @property
    def kubelet(self) -> Path:
        """What the kubelet mounts into pods."""
        return self.root / "kubelet"

    @property
    def volumes(self) -> Path:
        """One directory for each local-path PersistentVolume."""
        return self.root / "volumes"

    @property
    def containerd_socket(self) -> Path:
        """Where containerd answers, on the host too."""
        return self.root / "containerd.sock"

    @property
    def process_file(self) -> Path:
        """Identity of the process that keeps the cluster's namespaces (processes.Identity)."""
        return self.root / "supervisor.json"

    @property
    def running_lock(self) -> Path:
        """Held by the supervisor for as long as it lives."""
        return self.root / "supervisor.lock"

    @property
    def command_lock(self) -> Path:
        """Held by `up` and `down`, one at a time."""
        return self.root / "command.lock"

    @property
    def status_file(self) -> Path:
        """What the supervisor knows of each component (supervisor.Snapshot)."""
        return self.root / "status.json"

    @property
    def fingerprint_file(self) -> Path:
        """What the running cluster was started with (configs.fingerprint)."""
        return self.root / "fingerprint"

    @property
    def published_file(self) -> Path:
        """The users' kubeconfigs that hold this cluster's context."""
        return self.root / "kubeconfigs.json"

    @property
    def cgroup(self) -> str:
        """The name of the cgroup under which everything of this cluster runs.

        It tells clusters of one name in two directories apart.
        """
        return f"mcp-{self.root.name}-{hashlib.sha256(os.fsencode(self.root)).hexdigest()[:8]}"

    def log(self, component: str) -> Path:
        """The log of one component."""
        return self.logs / f"{component}.log"

    def check(self) -> None:
        """Refuse a directory so deep that no socket fits in it."""
        if len(os.fsencode(self.containerd_socket)) > LONGEST_SOCKET_PATH:
            raise PlatformError(
                f"the directory {self.root} is too long a name for containerd's socket in it",
                hint="choose a shorter MCP_PLATFORM_HOME",
            )


def read_spec(layout: Layout) -> ClusterSpec | None:
    """The cluster that lives in a directory, or None when it was never made."""
    try:
        text = layout.spec_file.read_text()
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise PlatformError(f"{layout.root} can only be read by root", hint="run this with sudo") from error
    try:
        return ClusterSpec(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise PlatformError(
            f"{layout.spec_file} is not a cluster's description: {error}",
            hint="restore it, or remove the directory to start over (its data is then lost)",
        ) from error


def write_spec(layout: Layout, spec: ClusterSpec) -> None:
    """Store a cluster's description, whole or not at all."""
    write_atomically(layout.spec_file, json.dumps(asdict(spec), indent=2) + "\n")


def write_atomically(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Replace a file in one step: a reader, or a crash, sees the old text or the new one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
