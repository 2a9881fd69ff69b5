"""Kubernetes objects as rules see them: identity, pod templates, containers, and all objects of a stack."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from policies.node import UNKNOWN, MalformedError, Node, Unknown
from policies.program import Resource

_TEMPLATES: Final[Mapping[str, str]] = {
    "Pod": "",
    "PodTemplate": "template",
    "ReplicationController": "spec.template",
    "DaemonSet.apps": "spec.template",
    "Deployment.apps": "spec.template",
    "ReplicaSet.apps": "spec.template",
    "StatefulSet.apps": "spec.template",
    "Job.batch": "spec.template",
    "CronJob.batch": "spec.jobTemplate.spec.template",
}
POD_KINDS: Final = frozenset(_TEMPLATES)
BATCH_KINDS: Final = frozenset({"Job.batch", "CronJob.batch"})
"""Kinds whose pods end by themselves: nothing probes them or sends them requests."""

CLUSTER_KINDS: Final = frozenset(
    {
        "APIService.apiregistration.k8s.io",
        "ClusterRole.rbac.authorization.k8s.io",
        "ClusterRoleBinding.rbac.authorization.k8s.io",
        "CSIDriver.storage.k8s.io",
        "ClusterExternalSecret.external-secrets.io",
        "ClusterIssuer.cert-manager.io",
        "ClusterSecretStore.external-secrets.io",
        "ClusterTriggerAuthentication.keda.sh",
        "CustomResourceDefinition.apiextensions.k8s.io",
        "GatewayClass.gateway.networking.k8s.io",
        "IngressClass.networking.k8s.io",
        "MutatingWebhookConfiguration.admissionregistration.k8s.io",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PriorityClass.scheduling.k8s.io",
        "RuntimeClass.node.k8s.io",
        "StorageClass.storage.k8s.io",
        "ValidatingAdmissionPolicy.admissionregistration.k8s.io",
        "ValidatingAdmissionPolicyBinding.admissionregistration.k8s.io",
        "ValidatingWebhookConfiguration.admissionregistration.k8s.io",
    }
)
"""Kinds that live in no namespace."""

Name = str | Unknown


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod, or a template of pods, inside the object that declares it."""

    owner: KubernetesObject
    metadata: Node
    spec: Node

    def containers(self) -> list[Node]:
        """Init, main and ephemeral containers."""
        return [
            container
            for group in ("initContainers", "containers", "ephemeralContainers")
            for container in self.spec.at(group).items()
        ]

    def lasting_containers(self) -> list[Node]:
        """Main containers and sidecars: what runs as long as the pod does."""
        sidecars = [
            Node(UNKNOWN, container.path) if container.at("restartPolicy").unknown else container
            for container in self.spec.at("initContainers").items()
            if container.at("restartPolicy").value in ("Always", UNKNOWN)
        ]
        return [*sidecars, *self.spec.at("containers").items()]

    @property
    def windows(self) -> bool:
        """The pod says that it runs on Windows, where some Linux fields can't be set."""
        return self.spec.at("os.name").value == "windows"

    @property
    def user_namespace(self) -> bool:
        """The pod has a user namespace of its own: its root is not the node's."""
        return self.spec.at("hostUsers").value is False


class KubernetesObject:
    """One object: its data and where it was declared.

    Attributes:
        kind: `Deployment.apps`: the kind with its API group, as kubectl writes it.
        name: metadata.name, or the name under which the program declared it.
        namespace: "default" when none is given, "" for kinds that live in no namespace.
        origin: Where it was declared, such as a URN or `file.yaml:12`.
    """

    def __init__(self, data: Mapping[str, Any], *, origin: str = "", declared_name: str = "") -> None:
        self.node = Node(data)
        self.origin = origin
        group = (self.node.at("apiVersion").text() or "").rpartition("/")[0]
        kind = self.node.at("kind").text() or ""
        self.kind = f"{kind}.{group}" if group else kind
        self.name: Name = self._identity("metadata.name", declared_name)
        self.namespace: Name = (
            "" if self.kind in CLUSTER_KINDS else self._identity("metadata.namespace", "default")
        )

    def __repr__(self) -> str:
        return f"KubernetesObject({self.label})"

    def _identity(self, path: str, default: str) -> Name:
        try:
            node = self.node.at(path)
            return UNKNOWN if node.unknown else node.text() or default
        except MalformedError:
            return UNKNOWN  # every rule that reads metadata says what is wrong with it

    @property
    def label(self) -> str:
        """`Deployment mcp-dev/gateway`."""
        kind = self.kind.partition(".")[0]
        name = "?" if isinstance(self.name, Unknown) else self.name
        namespace = "?" if isinstance(self.namespace, Unknown) else self.namespace
        return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"

    @property
    def annotations(self) -> Node:
        """metadata.annotations."""
        return self.node.at("metadata.annotations")

    @property
    def labels(self) -> Node:
        """metadata.labels."""
        return self.node.at("metadata.labels")

    def pods(self) -> list[Pod]:
        """The pod or pod template of this object; empty for kinds that have none."""
        template_path = _TEMPLATES.get(self.kind)
        if template_path is None:
            return []
        template = self.node.at(template_path) if template_path else self.node
        return [Pod(self, template.at("metadata"), template.at("spec"))]


@dataclass(frozen=True)
class Stack:
    """All objects of one stack.

    Attributes:
        built_images: References of the images that the stack builds; None where nothing says so (plain YAML).
        resources: All that the program declares, `objects` included; empty for plain YAML.
    """

    objects: tuple[KubernetesObject, ...]
    built_images: frozenset[str] | None = None
    resources: tuple[Resource, ...] = ()
    _by_kind: dict[str, list[KubernetesObject]] = field(default_factory=dict[str, list[KubernetesObject]])

    def __post_init__(self) -> None:
        for item in self.objects:
            self._by_kind.setdefault(item.kind, []).append(item)

    def of_kind(self, *kinds: str) -> list[KubernetesObject]:
        """The objects of these kinds."""
        return [item for kind in kinds for item in self._by_kind.get(kind, [])]

    def of_type(self, *types: str) -> list[Resource]:
        """The program's resources of these types (`aws:s3/bucket:Bucket`)."""
        return [item for item in self.resources if item.type in types]

    @cached_property
    def pods(self) -> tuple[Pod, ...]:
        """Every pod and pod template."""
        return tuple(pod for item in self.objects for pod in item.pods())

    def pods_in(self, namespace: Name) -> Iterable[Pod]:
        """The pods that are, or may be, in the namespace."""
        return (pod for pod in self.pods if same_name(pod.owner.namespace, namespace) is not False)


Subject = KubernetesObject | Resource
"""What a finding can be about."""


def same_name(left: Name, right: Name) -> bool | None:
    """Whether two names are the same; None when one of them is unknown."""
    if isinstance(left, Unknown) or isinstance(right, Unknown):
        return None
    return left == right
