"""The Kubernetes objects of a graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra.engine.graph import UNKNOWN, Data, Graph, Resource, Secret
from infra.errors import PlatformError

# What is created before what; the numbers also start the names of rendered files, hence the gaps.
_PHASES: Final = {
    "Namespace": 0,
    "CustomResourceDefinition": 5,
    "PriorityClass": 10,
    "StorageClass": 10,
    "ResourceQuota": 10,
    "LimitRange": 10,
    "NetworkPolicy": 15,
    "ServiceAccount": 20,
    "ClusterRole": 25,
    "ClusterRoleBinding": 26,
    "Role": 25,
    "RoleBinding": 26,
    "Secret": 30,
    "ConfigMap": 30,
    "PersistentVolume": 35,
    "PersistentVolumeClaim": 36,
    "Service": 40,
    "StatefulSet": 50,
    "DaemonSet": 50,
    "Deployment": 50,
    "Job": 55,
    "CronJob": 55,
    "PodDisruptionBudget": 60,
    "HorizontalPodAutoscaler": 60,
}
_OTHER_PHASE: Final = 70

# Kubernetes' own kinds without a namespace (`kubectl api-resources --namespaced=false`), as far as used.
_CLUSTER_KINDS: Final = frozenset(
    {
        "APIService",
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "IngressClass",
        "MutatingWebhookConfiguration",
        "Namespace",
        "PersistentVolume",
        "PriorityClass",
        "RuntimeClass",
        "StorageClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
    }
)
_OWN_GROUPS: Final = frozenset({"", "apps", "autoscaling", "batch", "policy"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """One Kubernetes object.

    Attributes:
        urn: The resource that declares it.
        api_version: Such as `apps/v1`.
        kind: Such as `Deployment`.
        namespace: "" for an object of the whole cluster.
        name: Its name in Kubernetes.
        body: The whole object, with `UNKNOWN` and `Secret` inside.
        keep: Whether Helm must never delete it: a volume, or `retainOnDelete`.
    """

    urn: str
    api_version: str
    kind: str
    namespace: str
    name: str
    body: Mapping[str, Any]
    keep: bool = False

    @property
    def phase(self) -> int:
        """Objects of a lower phase are created first."""
        return _PHASES.get(self.kind, _OTHER_PHASE)

    @property
    def title(self) -> str:
        """`Deployment gateway`: what a user calls it."""
        return f"{self.kind} {self.name}"

    @property
    def is_secret(self) -> bool:
        """Whether it is a `core/v1 Secret`, which never leaves this process but for the cluster."""
        return self.kind == "Secret" and self.api_version == "v1"

    @property
    def unknown_paths(self) -> list[str]:
        """The fields that only a deployment can tell."""
        return [path for path, value in _leaves(self.body) if value is UNKNOWN]


def manifests(graph: Graph) -> list[Manifest]:
    """The objects of a graph in the order in which they are created.

    Raises:
        PlatformError: A resource that is not a plain Kubernetes object, two of the same name, or a secret
            outside a `Secret`.
    """
    namespaces = _provider_namespaces(graph)
    found: dict[tuple[str, str, str, str], Manifest] = {}
    for resource in graph.kubernetes_objects():
        manifest = _manifest(resource, namespaces.get(resource.provider.rpartition("::")[0], ""))
        key = (manifest.api_version, manifest.kind, manifest.namespace, manifest.name)
        if key in found:
            raise PlatformError(
                f"{manifest.title} in namespace {manifest.namespace} is declared twice: "
                f"{found[key].urn} and {manifest.urn}"
            )
        found[key] = manifest
    return sorted(found.values(), key=lambda item: (item.phase, item.kind, item.namespace, item.name))


def plain(value: Data) -> Data:
    """A copy in which secrets are what they hold. For what goes straight to the cluster, and nowhere else."""
    if isinstance(value, Secret):
        return plain(value.value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def _provider_namespaces(graph: Graph) -> dict[str, str]:
    return {
        resource.urn: str(resource.inputs.get("namespace", ""))
        for resource in graph.by_type("pulumi:providers:kubernetes").values()
    }


def _manifest(resource: Resource, provider_namespace: str) -> Manifest:
    api_version, kind = _kind(resource)
    metadata = resource.inputs.get("metadata", {})
    name = metadata.get("name")
    if not isinstance(name, str):
        raise PlatformError(f"{resource.urn}: metadata.name must be set, and known before the deployment")
    namespace = metadata.get("namespace", "")
    body = {**resource.inputs, "apiVersion": api_version, "kind": kind}
    if not namespace and _needs_namespace(api_version, kind):
        if not provider_namespace:
            raise PlatformError(f"{resource.urn}: metadata.namespace must be set")
        namespace = provider_namespace
        body["metadata"] = {**metadata, "namespace": namespace}
    manifest = Manifest(
        urn=resource.urn,
        api_version=api_version,
        kind=kind,
        namespace=namespace,
        name=name,
        body=body,
        keep=kind == "PersistentVolumeClaim" or bool(resource.options.get("retainOnDelete")),
    )
    if not manifest.is_secret:
        _refuse_secrets(manifest)
    return manifest


def _kind(resource: Resource) -> tuple[str, str]:
    """`kubernetes:core/v1:Secret` is `v1`, `Secret`."""
    _, api_version, kind = resource.type.split(":")
    api_version = api_version.removeprefix("core/")
    if api_version.startswith(("helm.sh/", "yaml/", "kustomize/")) or kind.endswith(("Patch", "List")):
        raise PlatformError(
            f"{resource.type} {resource.name!r} is not one Kubernetes object: "
            "only Pulumi's Kubernetes provider can expand it",
            hint="use `--engine pulumi`, or declare the objects themselves",
        )
    return api_version, kind


def _needs_namespace(api_version: str, kind: str) -> bool:
    group = api_version.rpartition("/")[0]
    return (group in _OWN_GROUPS or group.endswith(".k8s.io")) and kind not in _CLUSTER_KINDS


def _refuse_secrets(manifest: Manifest) -> None:
    for path, value in _leaves(manifest.body):
        if isinstance(value, Secret):
            raise PlatformError(
                f"{manifest.title}: {path} holds a secret in plain text ({manifest.urn})",
                hint="put it in a core/v1 Secret and refer to that",
            )


def _leaves(value: Data, path: str = "") -> Iterator[tuple[str, Data]]:
    """Every value below, with its path; a `Secret` is one leaf if it is known as a whole."""
    if isinstance(value, Secret) and value.value is UNKNOWN:
        yield path, UNKNOWN
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]")
    else:
        yield path, value
