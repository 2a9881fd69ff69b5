"""The programs of a node: how each is started, what it waits for, and how it tells that it is ready.

Pure: everything here follows from the spec, the directories and the machine's kind of cgroups.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from infra.cluster.modules import ETCD
from infra.cluster.spec import API_SERVER_PORT, GATEWAY_NODE_PORT, ClusterSpec, Layout

ETCD_PORT = 2379
METRICS_SERVER_PORT = 4443
DNS_PORT = 53
DNS_READY_PORT = 8181

# What `after` calls the cluster's own objects (addons.py): some components may do nothing before they are
# there.
OBJECTS = "objects"

CIPHERS = (
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,"
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"
)


@dataclass(frozen=True)
class Probe:
    """How to see that a component is ready: a URL that answers 200, or a socket that accepts."""

    url: str = ""
    socket: str = ""
    certificate: str = ""  # the client certificate to show, a name below certificates/
    verified: bool = True  # a component on loopback that signs its own certificate can't be


@dataclass(frozen=True)
class Component:
    """One program that the supervisor keeps running."""

    name: str
    argv: tuple[str, ...]
    probe: Probe
    after: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    descriptors: tuple[int, ...] = ()  # file descriptors that it inherits


def components(
    spec: ClusterSpec,
    layout: Layout,
    tools: Path,
    *,
    api_socket: int,
    gateway_socket: int,
    fsync: bool = True,
) -> list[Component]:
    """Everything that runs on the node, in the order of starting.

    `api_socket` and `gateway_socket` are listening sockets of the host's network namespace, opened by the
    launcher.
    """
    return [
        etcd(layout, tools, fsync=fsync),
        containerd(layout, tools),
        api_server(spec, layout, tools),
        controller_manager(spec, layout, tools),
        scheduler(layout, tools),
        kubelet(spec, layout, tools),
        kube_proxy(spec, layout, tools),
        coredns(layout, tools),
        metrics_server(spec, layout, tools),
        forwarder(spec, api_socket, gateway_socket),
        follower("provisioner", str(layout.root), spec.node_name),
        follower("netpol", str(layout.root)),
    ]


def etcd(layout: Layout, tools: Path, *, fsync: bool) -> Component:
    """The database. `fsync=False` trades durability for speed: for clusters that tests throw away."""
    pki, url = layout.certificates, f"https://127.0.0.1:{ETCD_PORT}"
    tls = [
        f"--{prefix}{flag}"
        for prefix in ("", "peer-")
        for flag in (
            f"cert-file={pki}/etcd.crt",
            f"key-file={pki}/etcd.key",
            f"trusted-ca-file={pki}/ca.crt",
            "client-cert-auth=true",
        )
    ]
    argv = (
        str(tools / ETCD),
        "--name=node",
        f"--data-dir={layout.etcd}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        "--listen-peer-urls=https://127.0.0.1:2380",
        "--initial-advertise-peer-urls=https://127.0.0.1:2380",
        "--initial-cluster=node=https://127.0.0.1:2380",
        *tls,
        "--snapshot-count=5000",
        "--auto-compaction-mode=periodic",
        "--auto-compaction-retention=10m",
        *(() if fsync else ("--unsafe-no-fsync",)),
    )
    return Component(
        "etcd", argv, Probe(f"{url}/readyz", certificate="apiserver-etcd-client"), environment=memory(128)
    )


def containerd(layout: Layout, tools: Path) -> Component:
    """The container runtime."""
    argv = (str(tools / "containerd"), "--config", str(layout.config / "containerd.toml"))
    probe = Probe(socket=str(layout.containerd_socket))
    return Component("containerd", argv, probe, environment={**memory(256), "PATH": f"{tools}:{SYSTEM_PATH}"})


def api_server(spec: ClusterSpec, layout: Layout, tools: Path) -> Component:
    """The API server: RBAC and the Node authorizer only, nobody anonymous, Pod Security by default."""
    pki = layout.certificates
    argv = (
        str(tools / "kube-apiserver"),
        f"--advertise-address={spec.node_ip}",
        f"--secure-port={API_SERVER_PORT}",
        f"--cert-dir={layout.root}/generated",
        f"--tls-cert-file={pki}/kube-apiserver.crt",
        f"--tls-private-key-file={pki}/kube-apiserver.key",
        f"--client-ca-file={pki}/ca.crt",
        "--anonymous-auth=false",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--admission-control-config-file={layout.config}/admission.yaml",
        f"--etcd-servers=https://127.0.0.1:{ETCD_PORT}",
        f"--etcd-cafile={pki}/ca.crt",
        f"--etcd-certfile={pki}/apiserver-etcd-client.crt",
        f"--etcd-keyfile={pki}/apiserver-etcd-client.key",
        f"--service-cluster-ip-range={spec.service_network}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki}/service-account.pub",
        f"--service-account-signing-key-file={pki}/service-account.key",
        f"--kubelet-certificate-authority={pki}/ca.crt",
        f"--kubelet-client-certificate={pki}/apiserver-kubelet-client.crt",
        f"--kubelet-client-key={pki}/apiserver-kubelet-client.key",
        "--kubelet-preferred-address-types=InternalIP",
        f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        f"--proxy-client-cert-file={pki}/front-proxy-client.crt",
        f"--proxy-client-key-file={pki}/front-proxy-client.key",
        "--enable-aggregator-routing=true",
        "--tls-min-version=VersionTLS12",
        f"--tls-cipher-suites={CIPHERS}",
        "--profiling=false",
    )
    probe = Probe(f"https://{spec.node_ip}:{API_SERVER_PORT}/readyz", certificate="bootstrap")
    return Component("kube-apiserver", argv, probe, after=("etcd",), environment=memory(640))


def controller_manager(spec: ClusterSpec, layout: Layout, tools: Path) -> Component:
    """The controllers: Deployments, Services, volumes, garbage collection and the rest."""
    pki, config = layout.certificates, layout.kubeconfigs / "kube-controller-manager.yaml"
    argv = (
        str(tools / "kube-controller-manager"),
        "--bind-address=127.0.0.1",
        *_delegated(config),
        "--leader-elect=false",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={pki}/service-account.key",
        f"--root-ca-file={pki}/ca.crt",
        f"--cluster-signing-cert-file={pki}/ca.crt",
        f"--cluster-signing-key-file={pki}/ca.key",
        "--allocate-node-cidrs=true",
        f"--cluster-cidr={spec.pod_network}",
        f"--node-cidr-mask-size={spec.pod_network.prefixlen}",
        f"--service-cluster-ip-range={spec.service_network}",
        "--profiling=false",
    )
    probe = Probe("https://127.0.0.1:10257/healthz", verified=False)
    return Component(
        "kube-controller-manager", argv, probe, after=("kube-apiserver",), environment=memory(192)
    )


def scheduler(layout: Layout, tools: Path) -> Component:
    """Puts pods on the node."""
    config = layout.kubeconfigs / "kube-scheduler.yaml"
    argv = (
        str(tools / "kube-scheduler"),
        "--bind-address=127.0.0.1",
        *_delegated(config),
        "--leader-elect=false",
        "--profiling=false",
    )
    probe = Probe("https://127.0.0.1:10259/healthz", verified=False)
    return Component("kube-scheduler", argv, probe, after=("kube-apiserver",), environment=memory(128))


def kubelet(spec: ClusterSpec, layout: Layout, tools: Path) -> Component:
    """Runs the pods."""
    argv = (
        str(tools / "kubelet"),
        f"--config={layout.config}/kubelet.yaml",
        f"--kubeconfig={layout.kubeconfigs}/kubelet.yaml",
        f"--root-dir={layout.kubelet}",
        f"--cert-dir={layout.kubelet}/pki",
        f"--hostname-override={spec.node_name}",
        f"--node-ip={spec.node_ip}",
    )
    probe = Probe("http://127.0.0.1:10248/healthz")
    after = ("containerd", "kube-apiserver")
    environment = {**memory(256), "PATH": f"{tools}:{SYSTEM_PATH}"}
    return Component("kubelet", argv, probe, after=after, environment=environment)


def kube_proxy(spec: ClusterSpec, layout: Layout, tools: Path) -> Component:
    """Gives Services their addresses, by nftables rules in the node's network namespace."""
    argv = (
        str(tools / "kube-proxy"),
        f"--kubeconfig={layout.kubeconfigs}/kube-proxy.yaml",
        f"--hostname-override={spec.node_name}",
        "--proxy-mode=nftables",
        f"--cluster-cidr={spec.pod_network}",
        # nf_conntrack_max belongs to the whole machine.
        "--conntrack-max-per-core=0",
        "--healthz-bind-address=127.0.0.1:10256",
        "--metrics-bind-address=127.0.0.1:10249",
    )
    probe = Probe("http://127.0.0.1:10256/livez")
    return Component("kube-proxy", argv, probe, after=("kube-apiserver",), environment=memory(96))


def coredns(layout: Layout, tools: Path) -> Component:
    """Names of Services. A process of the node rather than a pod: no image is needed for it."""
    argv = (str(tools / "coredns"), "-conf", str(layout.config / "Corefile"))
    probe = Probe(f"http://127.0.0.1:{DNS_READY_PORT}/ready")
    return Component("coredns", argv, probe, after=(OBJECTS,), environment=memory(96))


def metrics_server(spec: ClusterSpec, layout: Layout, tools: Path) -> Component:
    """CPU and memory of pods for `kubectl top` and the autoscaler; a process of the node, as CoreDNS is."""
    pki, config = layout.certificates, layout.kubeconfigs / "metrics-server.yaml"
    argv = (
        str(tools / "metrics-server"),
        f"--bind-address={spec.node_ip}",
        f"--secure-port={METRICS_SERVER_PORT}",
        f"--tls-cert-file={pki}/metrics-server-serving.crt",
        f"--tls-private-key-file={pki}/metrics-server-serving.key",
        *_delegated(config),
        f"--kubelet-certificate-authority={pki}/ca.crt",
        "--kubelet-preferred-address-types=InternalIP",
        "--metric-resolution=15s",
    )
    url = f"https://{spec.node_ip}:{METRICS_SERVER_PORT}/livez"
    probe = Probe(url, certificate="bootstrap")
    return Component("metrics-server", argv, probe, after=(OBJECTS, "kubelet"), environment=memory(96))


def forwarder(spec: ClusterSpec, api_socket: int, gateway_socket: int) -> Component:
    """Carries connections from the host's two ports to the node."""
    argv = (
        *_module("infra.cluster.forwarder"),
        f"{api_socket}={spec.node_ip}:{API_SERVER_PORT}",
        f"{gateway_socket}={spec.node_ip}:{GATEWAY_NODE_PORT}",
    )
    return Component("forwarder", argv, Probe(), descriptors=(api_socket, gateway_socket))


def follower(name: str, *arguments: str) -> Component:
    """A program of ours that acts on the cluster's objects."""
    argv = (*_module(f"infra.cluster.{name}"), *arguments)
    return Component(name, argv, Probe(), after=(OBJECTS,))


SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def memory(soft_limit_mib: int) -> dict[str, str]:
    """Make Go collect garbage harder as a program nears `soft_limit_mib`: it slows down, it does not fail."""
    return {"GOMEMLIMIT": f"{soft_limit_mib}MiB", "GOGC": "50"}


def _delegated(kubeconfig: Path) -> tuple[str, ...]:
    """The flags by which a component reaches the API server and asks it who its own callers are."""
    return tuple(f"--{prefix}kubeconfig={kubeconfig}" for prefix in ("", "authentication-", "authorization-"))


def _module(name: str) -> tuple[str, ...]:
    return (sys.executable, "-m", name)
