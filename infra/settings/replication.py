"""Settings of data stores inside the cluster that survive the end of a node."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from infra.settings.fields import Cidr, Group, Label, PinnedImage, matching, reject

CronWithSeconds = Annotated[
    str,
    AfterValidator(
        matching(
            re.compile(r"[\d*/,-]+( [\d*/,?A-Za-z-]+){5}"),
            "six fields, seconds first, such as 0 0 2 * * * for every night at two",
        )
    ),
]


class RedisReplication(Group):
    """A primary with replicas on other nodes, and a Sentinel beside each; they elect another primary."""

    servers: int = Field(default=3, ge=3, le=7)
    """The primary, its replicas, and as many Sentinels."""
    down_seconds: int = Field(default=5, ge=2, le=60)
    """How long a primary must be silent until Sentinels elect another."""

    @property
    def quorum(self) -> int:
        """How many Sentinels must agree that the primary is away: more than half."""
        return self.servers // 2 + 1

    @model_validator(mode="after")
    def _odd(self) -> RedisReplication:
        if self.servers % 2 == 0:
            reject(
                "servers",
                "must be odd: of an even number of Sentinels, no more may be away than of one less",
                self.servers,
            )
        return self


class Archive(Group):
    """Postgres' log and nightly copies in the stack's bucket: any moment of the last days can be restored."""

    schedule: CronWithSeconds = "0 0 2 * * *"
    """When whole copies are made, in UTC; seconds first."""
    retention_days: int = Field(default=30, ge=1, le=3650)
    """How far back one can go."""
    cidrs: tuple[Cidr, ...] = Field(min_length=1)
    """Networks in which pods see S3, and STS for IRSA: the VPC's endpoints, or the region's ranges."""


class PostgresReplication(Group):
    """A primary with standbys on other nodes, run by the CloudNativePG operator of the cluster."""

    instances: int = Field(default=3, ge=2, le=9)
    durability: Literal["required", "preferred"] = "required"
    """Required: nothing is confirmed that isn't on a second node, so writes wait while there is none.
    Preferred: they go on."""
    image: PinnedImage | None = None
    """Of CloudNativePG's kind; the operator's own when left out."""
    operator_namespace: Label = "cnpg-system"
    """Where the operator runs; it must reach the instances."""
    archive: Archive | None = None
    """There is no backup when left out."""

    @property
    def confirming(self) -> int:
        """On how many standbys a change must be before it is confirmed; the others may be away."""
        return max(1, (self.instances - 1) // 2)
