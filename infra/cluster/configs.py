"""Configuration files of the components, as text."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import yaml

from infra.cluster.components import DNS_PORT, DNS_READY_PORT, components
from infra.cluster.spec import ClusterSpec, Layout, write_atomically

PAUSE_IMAGE = "localhost/mcp-platform/pause:1"
CLUSTER_DOMAIN = "cluster.local"
LOG_LIMIT_BYTES = 16 * 2**20


def render(spec: ClusterSpec, layout: Layout, tools: Path) -> dict[str, str]:
    """Every configuration file: its path below the cluster's `config` directory, and its text."""
    return {
        "containerd.toml": containerd(layout, tools),
        "cni/10-mcp.conflist": cni(spec),
        "kubelet.yaml": _yaml(kubelet(spec, layout)),
        "admission.yaml": _yaml(admission()),
        "Corefile": corefile(spec, layout),
        "resolv.conf": f"nameserver {spec.node_ip}\n",
    }


def write_all(spec: ClusterSpec, layout: Layout, tools: Path) -> None:
    """Write every configuration file."""
    for name, text in render(spec, layout, tools).items():
        path = layout.config / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(path, text)


def fingerprint(spec: ClusterSpec, layout: Layout, tools: Path) -> str:
    """What the cluster is started with, as one hash: programs, arguments, configuration."""
    started = [repr(one) for one in components(spec, layout, tools, api_socket=0, gateway_socket=0)]
    content = json.dumps([render(spec, layout, tools), started], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def containerd(layout: Layout, tools: Path) -> str:
    """For containerd: everything below the cluster's directory."""
    return f"""\
version = 3
root = "{layout.containerd}/root"
state = "{layout.containerd}/state"
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.snapshotter.v1.blockfile",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.erofs",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.nri.v1.nri",
  "io.containerd.tracing.processor.v1.otlp",
]

[grpc]
address = "{layout.containerd_socket}"

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{PAUSE_IMAGE}"

[plugins."io.containerd.cri.v1.runtime"]
# Without CAP_SYS_RESOURCE no process may ask for a lower score than its parent's.
restrict_oom_score_adj = true
# Under `state`, so that no two clusters share a directory of namespaces.
netns_mounts_under_state_dir = true
tolerate_missing_hugetlb_controller = true
enable_unprivileged_ports = true
enable_unprivileged_icmp = true

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{tools}"]
conf_dir = "{layout.config}/cni"

[plugins."io.containerd.cri.v1.runtime".containerd]
default_runtime_name = "runc"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
SystemdCgroup = false
"""


def cni(spec: ClusterSpec) -> str:
    """Pods' network: one veth pair each, routed, so that all of their traffic passes the forward hook.

    No masquerading: pods have no way out of the node. Addresses that are in use are kept where a restart
    forgets them (node.py mounts a tmpfs there), as it ends every pod.
    """
    plugin = {
        "type": "ptp",
        "mtu": 1500,
        "ipam": {
            "type": "host-local",
            "dataDir": "/var/lib/cni/networks",
            "ranges": [[{"subnet": str(spec.pod_network)}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}, "backend": "nftables", "snat": True}
    return json.dumps({"cniVersion": "1.0.0", "name": "mcp", "plugins": [plugin, portmap]}, indent=2) + "\n"


def kubelet(spec: ClusterSpec, layout: Layout) -> dict[str, Any]:
    """KubeletConfiguration."""
    pki = layout.certificates
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": str(spec.node_ip),
        "healthzBindAddress": "127.0.0.1",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{pki}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{pki}/kubelet.crt",
        "tlsPrivateKeyFile": f"{pki}/kubelet.key",
        "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{layout.cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [str(spec.dns_ip)],
        "clusterDomain": CLUSTER_DOMAIN,
        "resolvConf": f"{layout.config}/resolv.conf",
        "podLogsDir": f"{layout.logs}/pods",
        "volumePluginDir": f"{layout.kubelet}/plugins-exec",
        # Imported images can't be pulled again: never remove one to make room.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {
            "memory.available": "200Mi",
            "nodefs.available": "512Mi",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "512Mi",
        },
        "systemReserved": {"memory": "1Gi"},
        "enforceNodeAllocatable": ["pods"],
        "containerLogMaxSize": "10Mi",
        "containerLogMaxFiles": 3,
        "serializeImagePulls": False,
    }


def admission() -> dict[str, Any]:
    """Pod Security for namespaces that don't say: "baseline" is enforced, "restricted" is warned about."""
    levels = {"enforce": "baseline", "audit": "restricted", "warn": "restricted"}
    defaults = {**levels, **{f"{mode}-version": "latest" for mode in levels}}
    configuration = {
        "apiVersion": "pod-security.admission.config.k8s.io/v1",
        "kind": "PodSecurityConfiguration",
        "defaults": defaults,
        "exemptions": {"usernames": [], "runtimeClasses": [], "namespaces": ["kube-system"]},
    }
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AdmissionConfiguration",
        "plugins": [{"name": "PodSecurity", "configuration": configuration}],
    }


def corefile(spec: ClusterSpec, layout: Layout) -> str:
    """CoreDNS: the cluster's names; any other does not exist, as pods have no way out.

    Two server blocks, because plugins run in an order of their own, in which `template` comes before
    `kubernetes`.
    """
    return f"""\
{CLUSTER_DOMAIN}:{DNS_PORT} in-addr.arpa:{DNS_PORT} ip6.arpa:{DNS_PORT} {{
    bind {spec.node_ip}
    errors
    ready 127.0.0.1:{DNS_READY_PORT}
    kubernetes {{
        kubeconfig {layout.kubeconfigs}/coredns.yaml {spec.context}
        ttl 5
    }}
}}
.:{DNS_PORT} {{
    bind {spec.node_ip}
    errors
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""


def _yaml(content: dict[str, Any]) -> str:
    return yaml.safe_dump(content, sort_keys=False)
