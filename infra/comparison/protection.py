"""What loses data, or everything, when it is deleted or made anew; and who said that it may be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from infra.comparison.matching import ObjectName
from infra.engine.graph import Resource
from infra.errors import PlatformError

_KUBERNETES: Final = frozenset(
    {
        ("", "Namespace"),
        ("", "PersistentVolume"),
        ("", "PersistentVolumeClaim"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
        ("apps", "StatefulSet"),
        ("postgresql.cnpg.io", "Cluster"),
    }
)
_OTHERS: Final = frozenset(
    {
        "aws:backup/vault:Vault",
        "aws:cloudwatch/logGroup:LogGroup",
        "aws:dynamodb/table:Table",
        "aws:ebs/volume:Volume",
        "aws:ecr/repository:Repository",
        "aws:efs/fileSystem:FileSystem",
        "aws:eks/cluster:Cluster",
        "aws:elasticache/cluster:Cluster",
        "aws:elasticache/replicationGroup:ReplicationGroup",
        "aws:elasticache/serverlessCache:ServerlessCache",
        "aws:kms/key:Key",
        "aws:rds/cluster:Cluster",
        "aws:rds/instance:Instance",
        "aws:s3/bucket:Bucket",
        "aws:s3/bucketV2:BucketV2",
        "aws:secretsmanager/secret:Secret",
        "docker:index/volume:Volume",
    }
)

_FILLED: Final = "mcp:docker:FileVolumes::"
"""The parent of volumes that the program fills anew each time, with nothing but what it declares."""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Somebody's word that an object may go: `KIND/NAME`, or longer where two are called so.

    Attributes:
        text: As it was given.
        origin: Where: `--acknowledge`, the pull request's text, a label.
    """

    text: str
    origin: str


@dataclass(frozen=True, slots=True)
class Review:
    """What acknowledgements did.

    Attributes:
        covered: Which of the objects are acknowledged, by their place in the list.
        unknown: Those that name no object that needs one.
        ambiguous: Those that name several.
    """

    covered: frozenset[int]
    unknown: tuple[Acknowledgement, ...]
    ambiguous: tuple[Acknowledgement, ...]


def is_protected(resource: Resource, name: ObjectName) -> bool:
    """Whether deleting a resource, as it was declared, must be acknowledged."""
    if resource.options.get("protect"):
        return True
    if resource.type.startswith("kubernetes:"):
        return (name.group, name.kind) in _KUBERNETES
    return resource.type in _OTHERS and _FILLED not in resource.parent


def references(resource: Resource, name: ObjectName) -> tuple[str, str]:
    """How an object is acknowledged: short, `StatefulSet/postgres`, and unmistakably."""
    short = f"{name.kind}/{name.name}"
    if resource.type.startswith("kubernetes:"):
        group = f"{name.kind}.{name.group}" if name.group else name.kind
        return short, "/".join(filter(None, (group, name.namespace, name.name)))
    return short, f"{resource.type}/{name.name}"


def acknowledgement(text: str, origin: str) -> Acknowledgement:
    """Read one.

    Raises:
        PlatformError: It has not the form KIND/NAME.
    """
    kind, slash, name = text.strip().partition("/")
    if not (kind and slash and name) or any(character.isspace() for character in text.strip()):
        raise PlatformError(
            f"{origin}: {text!r} does not acknowledge anything",
            hint="write KIND/NAME as the preview does, such as StatefulSet/postgres",
        )
    return Acknowledgement(text.strip(), origin)


def review(objects: Sequence[tuple[str, str]], given: Iterable[Acknowledgement]) -> Review:
    """Which objects, by both of their references, are acknowledged: exactly one by each, or none."""
    covered: set[int] = set()
    unknown: list[Acknowledgement] = []
    ambiguous: list[Acknowledgement] = []
    for item in dict.fromkeys(given):
        found = [place for place, names in enumerate(objects) if item.text in names]
        if len(found) == 1:
            covered.update(found)
        else:
            (ambiguous if found else unknown).append(item)
    return Review(frozenset(covered), tuple(unknown), tuple(ambiguous))
