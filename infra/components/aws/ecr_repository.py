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
            # Of an image for several platforms, only the index has a tag; the others go after it.
            "selection": {
                "tagStatus": "tagged",
                "tagPatternList": ["*"],
                "countType": "imageCountMoreThan",
                "countNumber": IMAGES_KEPT,
            },
            "action": {"type": "expire"},
        },
    ]
    return json.dumps({"rules": rules})


class EcrRepository(pulumi.ComponentResource):
    """A private repository, which stays when the stack goes."""

    def __init__(
        self, name: str, args: EcrRepositoryArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("mcp:aws:EcrRepository", name, None, opts)
        # AWS deletes no repository that has images, and older ones are what a rollback needs.
        stays = pulumi.ResourceOptions(parent=self, retain_on_delete=True)
        repository = ecr.Repository(
            name,
            name=args.repository,
            image_tag_mutability="IMMUTABLE",
            image_scanning_configuration=ecr.RepositoryImageScanningConfigurationArgs(scan_on_push=True),
            encryption_configurations=[ecr.RepositoryEncryptionConfigurationArgs(encryption_type="KMS")],
            force_delete=False,
            opts=stays,
        )
        ecr.LifecyclePolicy(name, repository=repository.name, policy=build_lifecycle(), opts=stays)
        self.register_outputs({"repository": args.repository})
