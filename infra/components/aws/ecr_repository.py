"""A registry's repository for one image: tags never move, and every push is scanned."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pulumi
from pulumi_aws import ecr

UNTAGGED_DAYS = 7
IMAGES_KEPT = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class EcrRepositoryArgs:
    """One repository.

    Attributes:
        repository: Its name, such as `mcp-platform/gateway`.
    """

    repository: str


def build_lifecycle() -> str:
    """The newest images stay; what lost its tag, and the oldest beyond a number, go."""
    rules = [
        {
            "rulePriority": 1,
            "description": "What has no tag",
            "selection": {
                "tagStatus": "untagged",
                "countType": "sinceImagePushed",
                "countUnit": "days",
                "countNumber": UNTAGGED_DAYS,
            },
            "action": {"type": "expire"},
        },
        {
            "rulePriority": 2,
            "description": "More than can be rolled back to",
            "selection": {
                "tagStatus": "any",
                "countType": "imageCountMoreThan",
                "countNumber": IMAGES_KEPT,
            },
            "action": {"type": "expire"},
        },
    ]
    return json.dumps({"rules": rules})


class EcrRepository(pulumi.ComponentResource):
    """A private repository."""

    def __init__(
        self, name: str, args: EcrRepositoryArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("mcp:aws:EcrRepository", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        repository = ecr.Repository(
            name,
            name=args.repository,
            image_tag_mutability="IMMUTABLE",
            image_scanning_configuration=ecr.RepositoryImageScanningConfigurationArgs(scan_on_push=True),
            encryption_configurations=[ecr.RepositoryEncryptionConfigurationArgs(encryption_type="KMS")],
            force_delete=False,
            opts=child,
        )
        ecr.LifecyclePolicy(name, repository=repository.name, policy=build_lifecycle(), opts=child)
        self.register_outputs({"repository": args.repository})
