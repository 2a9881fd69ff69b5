"""What a job is told: where the bucket and the stores are, and which folders hold the logins."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.kit.postgres.settings import PostgresSettings, read_secret
from services.kit.settings import LogLevel, Port

USERNAME = "username"
PASSWORD = "password"  # noqa: S105 - a file's name

Text = Annotated[str, Field(min_length=1)]


class PostgresPlace(BaseModel):
    """A database, whoever logs in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: Text
    port: Port = 5432
    database: Text
    tls: bool = False
    ca_file: Path | None = None

    def login(self, folder: Path) -> PostgresSettings:
        """The same, for whom the files `username` and `password` of `folder` name."""
        return PostgresSettings(
            **self.model_dump(),
            user=read_secret(folder / USERNAME),
            password_file=folder / PASSWORD,
            timeout_seconds=30,
        )


class RedisPlace(BaseModel):
    """A Redis or Valkey: one server, or a primary and its replicas in any order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hosts: Annotated[tuple[Text, ...], Field(min_length=1)]
    port: Port = 6379
    tls: bool = False

    @property
    def host(self) -> str:
        """The only one, or the first."""
        return self.hosts[0]

    def only(self, host: str) -> "RedisPlace":
        """One member of it."""
        return self.model_copy(update={"hosts": (host,)})


class Settings(BaseSettings):
    """Environment variables that begin with BACKUP_."""

    model_config = SettingsConfigDict(
        env_prefix="BACKUP_", frozen=True, extra="ignore", env_ignore_empty=True
    )

    log_level: Annotated[LogLevel, Field(validation_alias=AliasChoices("LOG_LEVEL"))] = "info"
    postgres: PostgresPlace | None = None
    redis: RedisPlace | None = None
    resources: dict[str, list[str]] = {}
    """API group and version, such as `apps/v1`, and the resources of it that are backed up."""
    at: str = ""
    """Which backup is restored: its time, or `newest`. No default: it replaces what is there."""


class BucketSettings(BaseSettings):
    """The bucket, and the stack's place in it."""

    model_config = SettingsConfigDict(
        env_prefix="BACKUP_", frozen=True, extra="ignore", env_ignore_empty=True
    )

    stack: Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$")]
    namespace: Text
    bucket: Annotated[str, Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]+$")]
    region: Text
    endpoint: str | None = None
    """Of an S3 other than AWS's."""
    encryption: Literal["aws:kms", "AES256", "none"] = "AES256"
    key: str | None = None
    """The KMS key's ARN."""
    credentials: Path | None = None
    """Folder with `access_key_id` and `secret_access_key`; the pod's own role when left out."""
    part_mib: Annotated[int, Field(ge=5, le=1024)] = 64
    """Size of the pieces of an upload, and so the memory that it takes. There are at most 10,000."""

    @property
    def bucket_name(self) -> str:
        """The bucket's name alone."""
        return self.bucket.removeprefix("s3://")
