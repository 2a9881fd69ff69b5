"""Which changes can't be made in place: the object is deleted and made anew.

Of Kubernetes' kinds: what pulumi-kubernetes replaces for (provider/pkg/provider/diff.go), and what the API
server refuses to update. Of AWS: the inputs that the provider's schema marks "forces new resource", for the
types that stacks here declare. Where this does not know a type, it says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from infra.engine.diff import Change
from infra.engine.graph import Resource
from infra.quantities import size_bytes

_POD_TEMPLATE_OWNERS: Final = dict.fromkeys(("Deployment", "DaemonSet", "ReplicaSet"), ("spec.selector",))
_BINDINGS: Final = dict.fromkeys(("RoleBinding", "ClusterRoleBinding"), ("roleRef",))

_KUBERNETES: Final[Mapping[str, tuple[str, ...]]] = {
    **_POD_TEMPLATE_OWNERS,
    **_BINDINGS,
    "CustomResourceDefinition": ("spec.group", "spec.names.kind", "spec.names.plural", "spec.scope"),
    "Job": ("spec.completions", "spec.parallelism", "spec.selector", "spec.template"),
    "PersistentVolume": (
        *("spec.csi", "spec.hostPath", "spec.local", "spec.nfs", "spec.awsElasticBlockStore"),
        "spec.nodeAffinity",
    ),
    "PersistentVolumeClaim": (
        *("spec.accessModes", "spec.selector", "spec.storageClassName", "spec.volumeMode"),
        "spec.volumeName",
    ),
    "Pod": ("spec",),
    "PriorityClass": ("value", "preemptionPolicy"),
    "ResourceQuota": ("spec.scopes",),
    "Secret": ("type",),
    "Service": ("spec.clusterIP", "spec.clusterIPs"),
    "StatefulSet": (
        *("spec.podManagementPolicy", "spec.revisionHistoryLimit", "spec.selector", "spec.serviceName"),
        "spec.volumeClaimTemplates",
    ),
    "StorageClass": ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"),
}

_IDENTITY: Final = ("name", "namePrefix", "region", "identifier", "identifierPrefix")
"""What names a cloud's resources; no provider renames one in place, or it loses its data's address."""

_AWS: Final[Mapping[str, tuple[str, ...]]] = {
    "ecr/lifecyclePolicy": ("policy", "repository"),
    "ecr/repository": ("encryptionConfigurations",),
    "ecr/repositoryPolicy": ("repository",),
    "efs/fileSystem": ("availabilityZoneName", "creationToken", "encrypted", "kmsKeyId", "performanceMode"),
    "eks/podIdentityAssociation": ("clusterName", "namespace", "serviceAccount"),
    "elasticache/parameterGroup": ("description", "family"),
    "elasticache/replicationGroup": (
        *("atRestEncryptionEnabled", "dataTieringEnabled", "globalReplicationGroupId", "kmsKeyId"),
        *("networkType", "port", "replicationGroupId", "snapshotArns", "snapshotName", "subnetGroupName"),
    ),
    "elasticache/subnetGroup": (),
    "iam/policy": ("description", "path"),
    "iam/role": ("path",),
    "iam/rolePolicy": ("role",),
    "iam/rolePolicyAttachment": ("policyArn", "role"),
    "kms/alias": (),
    "kms/key": ("customKeyStoreId", "customerMasterKeySpec", "keyUsage", "multiRegion", "xksKeyId"),
    "rds/instance": (
        *("availabilityZone", "characterSetName", "dbName", "engine", "kmsKeyId", "snapshotIdentifier"),
        *("storageEncrypted", "timezone", "username"),
    ),
    "rds/parameterGroup": ("description", "family"),
    "rds/subnetGroup": (),
    "s3/bucket": ("bucket", "bucketPrefix", "objectLockEnabled"),
    "s3/bucketLifecycleConfiguration": ("bucket", "expectedBucketOwner"),
    "s3/bucketObjectLockConfiguration": ("bucket", "expectedBucketOwner"),
    "s3/bucketOwnershipControls": ("bucket",),
    "s3/bucketPolicy": ("bucket",),
    "s3/bucketPublicAccessBlock": ("bucket",),
    "s3/bucketServerSideEncryptionConfiguration": ("bucket", "expectedBucketOwner"),
    "s3/bucketVersioning": ("bucket", "expectedBucketOwner"),
    "secretsmanager/secret": (),
    "vpc/securityGroupEgressRule": ("securityGroupId",),
    "vpc/securityGroupIngressRule": ("securityGroupId",),
    "ec2/securityGroup": ("description", "vpcId"),
}

_WHOLE_PACKAGES: Final = frozenset({"docker", "random", "tls"})
"""Of whose resources nearly every input is part of what was made."""
_IN_PLACE_PACKAGES: Final = frozenset({"docker-build", "pulumi"})

_PROVIDERS: Final[Mapping[str, tuple[str, ...]]] = {
    "aws": ("region", "allowedAccountIds"),
    "docker": ("host", "context"),
    "kubernetes": ("clusterIdentifier", "context", "cluster", "kubeconfig"),
}

ANOTHER_PLACE: Final = "its provider works in another place"
MOVED: Final = "its place in the program changed, and no alias says so"


def reasons(old: Resource, new: Resource, changes: Iterable[Change]) -> tuple[str, ...]:
    """The changed fields for which a resource is replaced; none where all of it changes in place."""
    fields = _fields(new)
    changes = tuple(changes)
    found = [change.path for change in changes if any(touches(change.path, field) for field in fields)]
    if new.type.startswith("kubernetes:"):
        found += _of_contents(old, changes)
    return tuple(dict.fromkeys(found))


def is_known(type_: str) -> bool:
    """Whether this knows which inputs of a type replace it; of others it knows only those that name it."""
    package, _, rest = type_.partition(":")
    if package == "aws":
        return rest.partition(":")[0] in _AWS
    return package in {"kubernetes", "pulumi"} | _WHOLE_PACKAGES | _IN_PLACE_PACKAGES


def works_elsewhere(old: Resource, new: Resource) -> bool:
    """Whether a provider's change makes all its resources other ones: another cluster, region or machine."""
    fields = _PROVIDERS.get(new.type.rpartition(":")[2], ())
    if "clusterIdentifier" in old.inputs and "clusterIdentifier" in new.inputs:
        fields = ("clusterIdentifier",)
    return any(old.inputs.get(field) != new.inputs.get(field) for field in fields)


def touches(path: str, field: str) -> bool:
    """Whether a changed path is a field, in it or around it; `spec.*` and `*` stand for all below."""
    field = field.removesuffix("*").removesuffix("[").removesuffix(".")
    return not field or path == field or _inside(path, field) or _inside(field, path)


def _inside(path: str, field: str) -> bool:
    return path.startswith((f"{field}.", f"{field}["))


def _fields(resource: Resource) -> tuple[str, ...]:
    package, _, rest = resource.type.partition(":")
    module, _, kind = rest.partition(":")
    own = tuple(str(path) for path in resource.options.get("replaceOnChanges", ()))
    if package == "kubernetes":
        return ("metadata.name", "metadata.namespace", *_KUBERNETES.get(kind, ()), *own)
    if package in _WHOLE_PACKAGES:
        return ("*",)
    if package in _IN_PLACE_PACKAGES:
        return own
    return (*_IDENTITY, *_AWS.get(module, ()), *own)


def _of_contents(old: Resource, changes: tuple[Change, ...]) -> list[str]:
    """What depends on values: immutable contents, and a volume that would have to shrink."""
    if old.inputs.get("immutable") is True:
        return [item.path for item in changes if item.path.startswith(("data", "binaryData", "stringData"))]
    if old.type.endswith(":PersistentVolumeClaim"):
        return [
            item.path for item in changes if item.path == "spec.resources.requests.storage" and _shrinks(item)
        ]
    return []


def _shrinks(change: Change) -> bool:
    values: list[Any] = [change.old, change.new]
    try:
        before, after = (size_bytes(str(value)) for value in values)
    except ValueError:
        return False
    return after < before
