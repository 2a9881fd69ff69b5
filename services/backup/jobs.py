"""The jobs, made of what the settings say."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from services.backup import logins
from services.backup.bucket import Bucket
from services.backup.errors import BackupError, WrongError
from services.backup.parts import configuration, postgres, redis
from services.backup.settings import BucketSettings, Settings
from services.kit.logs import get_logger
from services.kit.postgres.settings import PostgresSettings
from services.kit.settings import load

NEWEST = "newest"

T = TypeVar("T")


def prepare(settings: Settings, what: str, login: Path, owner: Path, seconds: int, name: str) -> None:
    """Make the login of the job that follows."""
    match what:
        case "postgres":
            logins.prepare_postgres(_told(settings.postgres, "POSTGRES"), owner, login, seconds)
        case "redis":
            logins.prepare_redis(_told(settings.redis, "REDIS"), owner, login)
        case _:
            logins.write_login(login, name)


def back_up(settings: Settings, part: str, login: Path) -> None:
    """Make a backup of one part."""
    told = load(BucketSettings)
    bucket = Bucket(told)
    match part:
        case "postgres":
            postgres.back_up(bucket, _postgres(settings, login))
        case "redis":
            redis.back_up(bucket, _told(settings.redis, "REDIS"), login)
        case _:
            configuration.back_up(bucket, told.namespace, settings.resources)


def restore(settings: Settings, part: str, login: Path, work: Path) -> None:
    """Replace what is there by a backup; the configuration is only shown."""
    if not settings.at:
        raise WrongError(f"BACKUP_AT is not set: say which backup, by its time or as {NEWEST}")
    bucket = Bucket(load(BucketSettings))
    found = bucket.find(part, settings.at)
    data = bucket.read(found)
    match part:
        case "postgres":
            postgres.restore(data, _postgres(settings, login))
        case "redis":
            redis.restore(found, data, _told(settings.redis, "REDIS"), login, work)
        case _:
            sys.stdout.write(configuration.read(found, data))
    get_logger().info("restored", part=part, time=found.time)


def drill(settings: Settings, parts: Sequence[str], login: Path, work: Path) -> None:
    """Restore the newest backup of each part where it harms nobody, and compare it with what was backed up.

    Raises:
        BackupError: The worst of what came of it; the other parts were tried all the same.
    """
    bucket = Bucket(load(BucketSettings))
    failures: list[BackupError] = []
    for part in parts:
        try:
            _try_out(bucket, part, settings, login, work)
        except BackupError as error:
            get_logger().error("drill failed", part=part, reason=str(error))
            failures.append(error)
    if failures:
        raise max(failures, key=lambda error: error.status)


def _try_out(bucket: Bucket, part: str, settings: Settings, login: Path, work: Path) -> None:
    found = bucket.find(part, NEWEST)
    data = bucket.read(found)
    match part:
        case "postgres":
            scratch = _postgres(settings, login)
            postgres.restore(data, scratch)
            postgres.compare(found, scratch)
        case "redis":
            redis.check(found, data, work)
        case _:
            configuration.read(found, data)
    get_logger().info("drill passed", part=part, time=found.time, bytes=found.bytes)


def _postgres(settings: Settings, login: Path) -> PostgresSettings:
    return _told(settings.postgres, "POSTGRES").login(login)


def _told(value: T | None, name: str) -> T:
    if value is None:
        raise WrongError(f"environment variable BACKUP_{name} is not set")
    return value
