"""The objects that a cluster starts with: permissions, the default StorageClass, the node's own services.

CoreDNS and metrics-server are processes of the node, so their Services have no selector; EndpointSlices of
ours point to the node.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from infra.cluster.api import ApiClient, Object
from infra.cluster.certificates import ADMINISTRATORS
from infra.cluster.components import DNS_PORT, METRICS_SERVER_PORT
from infra.cluster.provisioner import PROVISIONER
from infra.cluster.spec import CLUSTER_CA, ClusterSpec, Layout

STORAGE_CLASS = "local-path"
NAMESPACE = "kube-system"
RBAC = "rbac.authorization.k8s.io"

Rule = Mapping[str, Sequence[str]]


def apply_all(client: ApiClient, spec: ClusterSpec, layout: Layout) -> None:
    """Make the cluster's own objects what they should be; in order, as later ones may need earlier ones."""
    authority = (layout.certificates / f"{CLUSTER_CA}.crt").read_bytes()
    for path, content in [*permissions(), *storage(), *dns(spec), *metrics(spec, authority)]:
        client.apply(path, content)


def permissions() -> list[tuple[str, Object]]:
    """RBAC for those identities that Kubernetes doesn't know by itself."""
    return [
        _binding("mcp-platform:administrators", "cluster-admin", "Group", ADMINISTRATORS),
        _binding(
            "mcp-platform:kubelet-client", "system:kubelet-api-admin", "User", "kube-apiserver-kubelet-client"
        ),
        *_role(
            "coredns",
            {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": ["list", "watch"]},
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
        ),
        *_role(
            "metrics-server",
            {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
            {"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"]},
        ),
        _binding(
            "mcp-platform:metrics-server-delegation",
            "system:auth-delegator",
            "User",
            "mcp-platform:metrics-server",
        ),
        (
            f"/apis/{RBAC}/v1/namespaces/{NAMESPACE}/rolebindings/mcp-platform:metrics-server-authentication",
            {
                "apiVersion": f"{RBAC}/v1",
                "kind": "RoleBinding",
                "metadata": {"name": "mcp-platform:metrics-server-authentication", "namespace": NAMESPACE},
                "roleRef": {
                    "apiGroup": RBAC,
                    "kind": "Role",
                    "name": "extension-apiserver-authentication-reader",
                },
                "subjects": [{"apiGroup": RBAC, "kind": "User", "name": "mcp-platform:metrics-server"}],
            },
        ),
        *_role(
            "provisioner",
            {
                "apiGroups": [""],
                "resources": ["persistentvolumes"],
                "verbs": ["get", "list", "watch", "create", "delete"],
            },
            {"apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["get", "list", "watch"]},
            {"apiGroups": ["storage.k8s.io"], "resources": ["storageclasses"], "verbs": ["get"]},
        ),
        *_role(
            "netpol",
            {
                "apiGroups": ["networking.k8s.io"],
                "resources": ["networkpolicies"],
                "verbs": ["list", "watch"],
            },
            {"apiGroups": [""], "resources": ["pods", "namespaces"], "verbs": ["list", "watch"]},
        ),
    ]


def storage() -> list[tuple[str, Object]]:
    """The default StorageClass: a directory of the node, made when a pod first needs it."""
    content = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": STORAGE_CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": PROVISIONER,
        "volumeBindingMode": "WaitForFirstConsumer",
        "reclaimPolicy": "Delete",
    }
    return [(f"/apis/storage.k8s.io/v1/storageclasses/{STORAGE_CLASS}", content)]


def dns(spec: ClusterSpec) -> list[tuple[str, Object]]:
    """The Service `kube-dns`, answered by the node's CoreDNS."""
    ports = {"dns": ("UDP", 53, DNS_PORT), "dns-tcp": ("TCP", 53, DNS_PORT)}
    return _node_service(spec, "kube-dns", ports, {"clusterIP": str(spec.dns_ip)}, {"k8s-app": "kube-dns"})


def metrics(spec: ClusterSpec, authority: bytes) -> list[tuple[str, Object]]:
    """The metrics API, answered by the node's metrics-server."""
    service = _node_service(spec, "metrics-server", {"https": ("TCP", 443, METRICS_SERVER_PORT)}, {}, {})
    name = "v1beta1.metrics.k8s.io"
    registration = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": name},
        "spec": {
            "group": "metrics.k8s.io",
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "service": {"name": "metrics-server", "namespace": NAMESPACE, "port": 443},
            "caBundle": base64.b64encode(authority).decode(),
        },
    }
    return [*service, (f"/apis/apiregistration.k8s.io/v1/apiservices/{name}", registration)]


def _node_service(
    spec: ClusterSpec,
    name: str,
    ports: Mapping[str, tuple[str, int, int]],
    extra: Mapping[str, Any],
    labels: Mapping[str, str],
) -> list[tuple[str, Object]]:
    """A Service without selector, and its EndpointSlice; a port is (protocol, port, port of the node)."""
    service: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": dict(labels)},
        "spec": {
            "ports": [
                {"name": port_name, "protocol": protocol, "port": port, "targetPort": target}
                for port_name, (protocol, port, target) in ports.items()
            ],
            **extra,
        },
    }
    endpoints: Object = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-node",
            "namespace": NAMESPACE,
            "labels": {
                "kubernetes.io/service-name": name,
                "endpointslice.kubernetes.io/managed-by": "mcp-platform.dev",
            },
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [str(spec.node_ip)], "conditions": {"ready": True}}],
        "ports": [
            {"name": port_name, "protocol": protocol, "port": target}
            for port_name, (protocol, _, target) in ports.items()
        ],
    }
    return [
        (f"/api/v1/namespaces/{NAMESPACE}/services/{name}", service),
        (f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices/{name}-node", endpoints),
    ]


def _role(component: str, *rules: Rule) -> list[tuple[str, Object]]:
    """A ClusterRole for one component and its binding to the user of the component's certificate."""
    name = f"mcp-platform:{component}"
    role = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": [dict(rule) for rule in rules],
    }
    return [(f"/apis/{RBAC}/v1/clusterroles/{name}", role), _binding(name, name, "User", name)]


def _binding(name: str, role: str, kind: str, subject: str) -> tuple[str, Object]:
    content = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": RBAC, "kind": kind, "name": subject}],
    }
    return f"/apis/{RBAC}/v1/clusterrolebindings/{name}", content
