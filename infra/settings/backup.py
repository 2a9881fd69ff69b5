"""Settings of backups: what goes to S3 and when, and how it is proven that it comes back."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from infra.settings.aws import Aws
from infra.settings.fields import Cidr, Group, Label, Text, Url, reject
from infra.settings.groups import AnyPostgres, ExternalPostgres
from infra.settings.schedule import Cron, TimeZone
from infra.settings.workloads import Limits, Requests, Resources, Volume


class Bucket(Group):
    """A bucket of any S3, for a stack that has no AWS account of its own (`aws`)."""

    endpoint: Url
    """Scheme, host and port."""
    name: Text
    region: Text = "us-east-1"
    credentials: Label
    """A Kubernetes Secret with `access_key_id` and `secret_access_key`."""
    encryption: Literal["AES256", "none"] = "AES256"
    """Whether objects ask to be encrypted; some servers don't know how, and encrypt their disks instead."""

    @property
    def port(self) -> int:
        """The endpoint's port."""
        parts = urlsplit(self.endpoint)
        return parts.port or (443 if parts.scheme == "https" else 80)


class Schedule(Group):
    """When a job is run, and for how long at most."""

    schedule: Cron
    """Minute, hour, day, month, weekday, in `backup.time_zone`."""
    deadline_seconds: int = Field(default=3600, ge=60, le=86_400)


class Backup(Group):
    """Copies of what must not be lost, in a bucket; none are made when left out."""

    cidrs: tuple[Cidr, ...] = Field(min_length=1)
    """Networks that the bucket's endpoint resolves into (with IRSA: that of STS, too)."""
    bucket: Bucket | None = None
    """Instead of the one that `aws` makes."""
    postgres: Schedule | None = Schedule(schedule="17 1 * * *", deadline_seconds=14_400)
    """The database that `postgres` names. None for no such backup, as for the other parts."""
    redis: Schedule | None = Schedule(schedule="47 1 * * *")
    """Inside the cluster only: managed services have snapshots of their own, and let nobody copy."""
    configuration: Schedule | None = Schedule(schedule="7 1 * * *", deadline_seconds=600)
    """The objects of the stack's namespace, without Secrets."""
    drill: Schedule | None = Schedule(schedule="17 4 * * sun", deadline_seconds=14_400)
    """The newest backups are restored beside the stack, and compared with what was backed up."""
    time_zone: TimeZone = "Etc/UTC"
    starting_deadline_seconds: int = Field(default=3600, ge=60, le=86_400)
    """A run that couldn't begin for so long is left out."""
    scratch: Volume = Volume(size="10Gi")
    """Where drills restore to, and snapshots of Redis are loaded; it must hold a copy of the database."""
    resources: Resources = Resources(
        requests=Requests(cpu="100m", memory="512Mi"), limits=Limits(cpu="1", memory="512Mi")
    )

    @model_validator(mode="after")
    def _has_parts(self) -> Backup:
        if self.postgres is None and self.redis is None and self.configuration is None:
            reject("postgres", "must be backed up, or redis or configuration: leave backup out for none")
        return self

    def check(self, aws: Aws | None, postgres: AnyPostgres, *, production: bool) -> None:
        """What other settings ask of these; errors name the keys from the top."""
        if self.bucket is None and aws is None:
            reject("backup.bucket", "must be set: without aws there is no bucket")
        if self.bucket is not None and production and not self.bucket.endpoint.startswith("https:"):
            reject(
                "backup.bucket.endpoint",
                "must be an https URL in production: everything travels to it",
                self.bucket.endpoint,
            )
        replication = None if isinstance(postgres, ExternalPostgres) else postgres.replication
        if self.postgres is not None and replication and replication.image is None:
            reject(
                "postgres.replication.image",
                "must name an image of PostgreSQL 17 or older where backup.postgres is set: the "
                "operator's own may be newer than the pg_dump of backups",
            )
        if self.postgres is not None and aws and aws.database and aws.database.version == "18":
            reject(
                "backup.postgres",
                "must be null for aws.database.version 18: the image's pg_dump is of 17, and RDS has backups",
            )
