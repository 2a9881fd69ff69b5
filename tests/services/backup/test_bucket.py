"""What is stored and how it is found; what is told wrongly."""

from __future__ import annotations

import hashlib
import json
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.backup.bucket import Bucket, pieces
from services.backup.errors import BackupError, RefusedError
from services.backup.manifest import Manifest, decode, encode
from services.backup.settings import BucketSettings
from tests.services.backup.conftest import Jobs


def bucket(jobs: Jobs, **more: str) -> Bucket:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**jobs.env, **more}.items():
            patch.setenv(name, value)
        return Bucket(BucketSettings())  # pyright: ignore[reportCallIssue] - from the environment


@given(st.lists(st.binary(max_size=50)), st.integers(1, 40))
def test_pieces_are_the_same_bytes_in_equal_sizes(data: list[bytes], size: int) -> None:
    found = list(pieces(data, size))
    assert b"".join(found) == b"".join(data)
    assert found
    assert all(len(piece) == size for piece, _ in pairwise(found))
    assert len(found[-1]) <= size


def test_backups_are_found_by_time_and_only_with_their_manifest(jobs: Jobs) -> None:
    made = bucket(jobs).keep("configuration", [b"{}"], {"kubernetes": "v1"}, {"Service": 2})
    jobs.replace("test/configuration/99990101T000000Z/objects.json", b"not finished")
    jobs.replace("test/configuration/other/manifest.json", b"not a time")
    jobs.replace("other/configuration/99990101T000000Z/manifest.json", b"another stack's")
    assert bucket(jobs).times("configuration") == [made.time]
    assert bucket(jobs).find("configuration", "newest") == made
    assert re.fullmatch(r"\d{8}T\d{6}Z", made.time)
    assert b"".join(bucket(jobs).read(made)) == b"{}"
    with pytest.raises(RefusedError, match=f"at 20200101T000000Z; the latest are {made.time}"):
        bucket(jobs).find("configuration", "20200101T000000Z")
    with pytest.raises(RefusedError, match="the latest are none"):
        bucket(jobs).find("redis", "newest")


@pytest.mark.parametrize(
    ("encryption", "found"), [("AES256", "AES256"), ("aws:kms", "aws:kms"), ("none", None)]
)
def test_objects_ask_for_the_encryption_of_the_settings(
    jobs: Jobs, encryption: str, found: str | None
) -> None:
    key = "arn:aws:kms:eu-central-1:123456789012:alias/backups"
    made = bucket(jobs, BACKUP_ENCRYPTION=encryption, BACKUP_KEY=key).keep("redis", [b"x"], {}, {})
    for name in jobs.objects():
        head = jobs.s3.head_object(Bucket=jobs.bucket, Key=name)
        assert head.get("ServerSideEncryption") == found
        assert head.get("SSEKMSKeyId") == (key if encryption == "aws:kms" else None)
    assert made.sha256 == hashlib.sha256(b"x").hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        {"part": "postgres"},
        {"stack": "prod"},
        {"format": 2},
        {"object": "prod/redis/20260101T000000Z/snapshot.rdb"},
        {"unknown": 1},
        {"bytes": "many"},
    ],
)
def test_a_manifest_of_something_else_is_refused(change: dict[str, object]) -> None:
    time = "20260101T000000Z"
    good = Manifest(
        stack="test",
        part="redis",
        time=time,
        object=f"test/redis/{time}/snapshot.rdb",
        version=None,
        bytes=1,
        sha256="00",
        made_with={},
        counts={},
    )
    assert decode(encode(good), "test", "redis", time) == good
    with pytest.raises(RefusedError, match=r"test/redis/20260101T000000Z/manifest\.json"):
        decode(json.dumps({**json.loads(encode(good)), **change}).encode(), "test", "redis", time)


def test_what_the_bucket_refuses_is_said_in_a_line_without_credentials(jobs: Jobs) -> None:
    with pytest.raises(BackupError, match="NoSuchBucket") as caught:
        bucket(jobs, BACKUP_BUCKET="s3://nobodys").keep("redis", [b"x"], {}, {})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "env", "says"),
    [
        (["redis"], {"BACKUP_BUCKET": "backups"}, "BACKUP_BUCKET='backups'"),
        (["redis"], {"BACKUP_ENCRYPTION": "rot13"}, "BACKUP_ENCRYPTION"),
        (["redis"], {"BACKUP_PART_MIB": "1"}, "BACKUP_PART_MIB"),
        (["redis"], {}, "BACKUP_REDIS is not set"),
        (["postgres"], {"BACKUP_POSTGRES": '{"host": "x"}'}, "BACKUP_POSTGRES[database]"),
        (["configuration"], {}, "BACKUP_RESOURCES"),
        (["configuration"], {"BACKUP_RESOURCES": '{"v1": ["secrets"]}'}, "never secrets"),
        (["restore", "configuration"], {}, "BACKUP_AT is not set"),
    ],
)
def test_what_is_told_wrongly_is_named(
    jobs: Jobs, arguments: list[str], env: dict[str, str], says: str
) -> None:
    done = jobs.run(*arguments, **env)
    assert done.status == 2
    assert says in done.reason


def test_a_job_that_does_not_exist_is_refused_with_the_jobs_that_do(jobs: Jobs) -> None:
    done = jobs.run("everything")
    assert done.status == 2
    assert "postgres" in done.errors
