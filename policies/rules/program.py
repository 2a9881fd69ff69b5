# ruff: noqa: D103 - a rule's title, beside its function, says what it checks
"""How a program declares things: providers, parents, order, protection."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from policies.family import Family
from policies.node import ANY_ITEM, Node
from policies.objects import KubernetesObject, Stack
from policies.program import Resource, made_before
from policies.rule import Enforcement, Finding, Findings, Options, Severity, Verdict, fail, forbid, require
from policies.rules.secrets import names_secret

FAMILY: Final = Family("program", "How the program declares things", together="program")

_PACKAGES: Final = frozenset(
    {"aws", "aws-native", "azure-native", "docker", "docker-build", "gcp", "kubernetes", "random", "tls"}
)
"""Packages whose resources are made by a provider; components are in packages of their own."""

_CONFIGURED: Final = frozenset({"aws", "aws-native", "azure-native", "gcp", "kubernetes"})
"""Of those, the ones whose provider decides where things are made."""

_COMPONENTS: Final = ("kubernetes:helm.sh/", "kubernetes:kustomize/", "kubernetes:yaml/")
_DEFAULT_PROVIDER: Final = re.compile(r"default(_[\d_a-z]+)?\Z")
_STATEFUL: Final = (
    "aws:elasticache/replicationGroup:ReplicationGroup",
    "aws:kms/key:Key",
    "aws:rds/cluster:Cluster",
    "aws:rds/instance:Instance",
    "aws:s3/bucket:Bucket",
    "aws:s3/bucketV2:BucketV2",
    "kubernetes:apps/v1:StatefulSet",
    "kubernetes:core/v1:PersistentVolumeClaim",
    "kubernetes:postgresql.cnpg.io/v1:Cluster",
)
_ABOUT_SECRETS: Final = ("arn", "mode", "policy", "status", "strategy")
"""What ends the name of an input that is about a secret, but is none."""

_NAMESPACE: Final = "kubernetes:core/v1:Namespace"
_DEFINITION: Final = "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition"
_REMOVED: Final[Mapping[str, str]] = {
    "admissionregistration.k8s.io/v1beta1": "admissionregistration.k8s.io/v1",
    "apiextensions.k8s.io/v1beta1": "apiextensions.k8s.io/v1",
    "apiregistration.k8s.io/v1beta1": "apiregistration.k8s.io/v1",
    "apps/v1beta1": "apps/v1",
    "apps/v1beta2": "apps/v1",
    "autoscaling/v2beta1": "autoscaling/v2",
    "autoscaling/v2beta2": "autoscaling/v2",
    "batch/v1beta1": "batch/v1",
    "certificates.k8s.io/v1beta1": "certificates.k8s.io/v1",
    "discovery.k8s.io/v1beta1": "discovery.k8s.io/v1",
    "extensions/v1beta1": "apps/v1 or networking.k8s.io/v1",
    "external-secrets.io/v1beta1": "external-secrets.io/v1",
    "flowcontrol.apiserver.k8s.io/v1beta1": "flowcontrol.apiserver.k8s.io/v1",
    "flowcontrol.apiserver.k8s.io/v1beta2": "flowcontrol.apiserver.k8s.io/v1",
    "flowcontrol.apiserver.k8s.io/v1beta3": "flowcontrol.apiserver.k8s.io/v1",
    "gateway.networking.k8s.io/v1alpha2": "gateway.networking.k8s.io/v1",
    "gateway.networking.k8s.io/v1beta1": "gateway.networking.k8s.io/v1",
    "networking.istio.io/v1alpha3": "networking.istio.io/v1",
    "networking.k8s.io/v1beta1": "networking.k8s.io/v1",
    "node.k8s.io/v1beta1": "node.k8s.io/v1",
    "policy/v1beta1": "policy/v1 (PodSecurityPolicy: Pod Security admission)",
    "rbac.authorization.k8s.io/v1beta1": "rbac.authorization.k8s.io/v1",
    "scheduling.k8s.io/v1beta1": "scheduling.k8s.io/v1",
    "security.istio.io/v1beta1": "security.istio.io/v1",
    "storage.k8s.io/v1beta1": "storage.k8s.io/v1",
}
"""API versions that are no longer served, or about to be → what to use."""

_STILL_ONLY_THERE: Final = frozenset(
    {
        ("certificates.k8s.io/v1beta1", "ClusterTrustBundle"),
        ("certificates.k8s.io/v1beta1", "PodCertificateRequest"),
        ("gateway.networking.k8s.io/v1alpha2", "TCPRoute"),
        ("gateway.networking.k8s.io/v1alpha2", "UDPRoute"),
        ("networking.istio.io/v1alpha3", "EnvoyFilter"),
        ("storage.k8s.io/v1beta1", "VolumeAttributesClass"),
    }
)


_PATCH: Final = re.compile(r":\w+Patch\Z")
"""The kind of a patch is the object's, and this: `kubernetes:apps/v1:DeploymentPatch`."""


def _made_by_provider(resource: Resource, packages: frozenset[str]) -> bool:
    return resource.package in packages and not resource.type.startswith(_COMPONENTS)


@FAMILY.resource(
    "explicit-provider",
    "What is made where is said by a provider of the program",
    Severity.HIGH,
    fix="Make one provider from the stack's settings, and hand it down in the components' options.",
    references=("Pulumi: disable default providers",),
)
def explicit_provider(resource: Resource, _options: Options) -> Findings:
    if _made_by_provider(resource, _CONFIGURED):
        if not resource.provider:
            yield fail(resource.node, "has no provider")
        elif _DEFAULT_PROVIDER.match(resource.provider):
            yield fail(resource.node, "has the default provider: whatever the machine happens to point at")


@FAMILY.resource(
    "cluster-pinned",
    "The program deploys to a cluster that its settings name",
    Severity.HIGH,
    "pulumi:providers:kubernetes",
    fix="Set context and clusterIdentifier: new credentials then don't look like a new cluster.",
)
def cluster_pinned(provider: Resource, _options: Options) -> Findings:
    for name in ("context", "clusterIdentifier"):
        yield from require(provider.node.key(name), bool, "must be set")


@FAMILY.resource(
    "resource-parent",
    "Resources belong to a component",
    Severity.LOW,
    fix="Give the resource the component as its parent, so that it is shown, moved and protected with it.",
)
def resource_parent(resource: Resource, _options: Options) -> Findings:
    if _made_by_provider(resource, _PACKAGES) and not resource.parent:
        yield fail(resource.node, "stands directly in the stack")


@FAMILY.resource(
    "names-fixed",
    "Objects have names of their own, not generated ones",
    Severity.MEDIUM,
    fix="Set metadata.name: a generated one makes a replacement of every rename, and data is lost with it.",
)
def names_fixed(resource: Resource, _options: Options) -> Findings:
    if resource.package == "kubernetes" and _made_by_provider(resource, _CONFIGURED):
        yield from require(resource.node.at("metadata.name"), bool, "must be set")


@FAMILY.resource(
    "stateful-protected",
    "What holds data can't be deleted by a change of the program",
    Severity.HIGH,
    *_STATEFUL,
    fix="Set protect=True in its options; take it off in a change of its own.",
    references=("Pulumi: protect",),
    dev=Enforcement.DISABLED,
)
def stateful_protected(resource: Resource, _options: Options) -> Findings:
    if not resource.protect:
        yield fail(resource.node, "is not protected")


@FAMILY.resource(
    "secret-input-marked",
    "Secrets are marked where they are declared",
    Severity.CRITICAL,
    fix="Use pulumi.Output.secret or config.require_secret, or let the cloud make the secret.",
    references=("CIS AWS 2.3", "CWE-312"),
)
def secret_input_marked(resource: Resource, _options: Options) -> Findings:
    if resource.package == "kubernetes" or resource.is_provider:
        return  # objects have rules of their own, providers encrypt what they know to be secret
    for name, value in resource.node.entries():
        promised = names_secret(name) and not name.lower().endswith(_ABOUT_SECRETS)
        written = value.unknown or (isinstance(value.value, str) and value.value)
        if (promised or name == ANY_ITEM) and written and not value.secret:
            yield fail(value, "is written down without a mark")


@FAMILY.resource(
    "no-helm-release",
    "Charts are rendered where policies can see what is in them",
    Severity.MEDIUM,
    "kubernetes:helm.sh/v3:Release",
    fix="Use helm.v4.Chart: its objects show in previews and are checked. A Release needs an allowance.",
)
def no_helm_release(release: Resource, _options: Options) -> Findings:
    yield from forbid(release.node.key("chart"), bool, "hides its objects from every policy")


@FAMILY.resource(
    "no-patch",
    "Objects are declared whole, not patched",
    Severity.MEDIUM,
    fix="Declare the object itself. Where another program owns it, let that one declare the change.",
    references=("Pulumi: server-side apply, patch resources",),
)
def no_patch(resource: Resource, _options: Options) -> Findings:
    if resource.package == "kubernetes" and _PATCH.search(resource.type):
        yield fail(resource.node, "changes an object that no policy sees")


@FAMILY.program(
    "definition-first",
    "A custom resource is made after its definition",
    Severity.HIGH,
    _DEFINITION,
    fix="Let the resource depend on the CustomResourceDefinition, or on the component that makes it.",
    references=("pulumi-kubernetes#1712",),
)
def definition_first(stack: Stack, _options: Options) -> Findings:
    by_urn = {item.urn: item for item in stack.resources}
    for definition in stack.of_type(_DEFINITION):
        group, kind = definition.node.at("spec.group"), definition.node.at("spec.names.kind")
        for item in stack.resources:
            if _is_of(item, group, kind) is False or definition.urn in made_before(item, by_urn):
                continue
            verdict = Verdict.UNVERIFIABLE if _is_of(item, group, kind) is None else Verdict.FAIL
            yield Finding((), f"may be made before {definition.label}", verdict, item)


def _is_of(resource: Resource, group: Node, kind: Node) -> bool | None:
    """Whether a resource is of a defined kind; None where the definition isn't known yet."""
    package, _, rest = resource.type.partition(":")
    version, _, own_kind = rest.partition(":")
    if package != "kubernetes" or "." not in version or resource.type == _DEFINITION:
        return False
    if not kind.unknown and kind.value != own_kind:
        return False
    if not group.unknown and group.value != version.partition("/")[0]:
        return False
    return None if group.unknown or kind.unknown else True


@FAMILY.program(
    "namespace-first",
    "Objects are made after the namespace that they are in",
    Severity.MEDIUM,
    _NAMESPACE,
    fix="Let the object, or its component, depend on the component that makes the namespace.",
)
def namespace_first(stack: Stack, _options: Options) -> Findings:
    by_urn = {item.urn: item for item in stack.resources}
    spaces = {item.node.at("metadata.name").text(): item for item in stack.of_type(_NAMESPACE)}
    for item in stack.resources:
        if item.package != "kubernetes" or item.type == _NAMESPACE:
            continue
        name = item.node.at("metadata.namespace")
        if name.unknown:
            yield fail(name, "decides which namespace must come first", item)
        elif (space := spaces.get(name.text())) and space.urn not in made_before(item, by_urn):
            yield fail(name, f"may be made before {space.label}", item)


@FAMILY.object(
    "api-version-served",
    "Objects are of API versions that clusters serve",
    Severity.HIGH,
    fix="Use the newer version; the fields may have changed with it.",
    references=("Kubernetes: deprecated API migration guide", "kube-score: stable-version"),
)
def api_version_served(subject: KubernetesObject, _options: Options) -> Findings:
    version, kind = subject.node.key("apiVersion"), subject.node.key("kind").value
    successor = _REMOVED.get(str(version.value))
    if successor and (version.value, kind) not in _STILL_ONLY_THERE:
        yield fail(version, f"{version.value} is gone or going; use {successor}")
