"""The bucket: streams that are stored as a whole or not at all, and read back only as they were."""

import hashlib
import signal
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from services.backup import manifest
from services.backup.errors import BackupError, RefusedError
from services.backup.manifest import FILE, PARTS, Manifest
from services.backup.settings import BucketSettings
from services.kit.logs import get_logger
from services.kit.postgres.settings import read_secret
from services.kit.version import VERSION

CHUNK_BYTES: Final = 1024 * 1024

_MIB: Final = 1024 * 1024
_MOST_PARTS: Final = 10_000
_MOST_MANIFEST_BYTES: Final = 16 * _MIB
_CONNECT_SECONDS: Final = 10
_READ_SECONDS: Final = 120
_ATTEMPTS: Final = 5


@dataclass(frozen=True)
class Stored:
    """An object that is there."""

    bytes: int
    sha256: str
    version: str | None


class Bucket:
    """The backups of one stack."""

    def __init__(self, settings: BucketSettings) -> None:
        self._settings = settings
        self._client = _client(settings)
        self._place = {"Bucket": settings.bucket_name}

    def keep(
        self, part: str, data: Iterable[bytes], made_with: dict[str, str], counts: dict[str, int]
    ) -> Manifest:
        """Make a backup of a stream. It is one once its manifest is there.

        Raises:
            BackupError: The bucket didn't take it; whatever the stream raises leaves nothing behind either.
        """
        stack, time = self._settings.stack, manifest.now()
        name = manifest.folder(stack, part, time)
        stored = self._upload(name + PARTS[part], data)
        made = Manifest(
            stack=stack,
            part=part,
            time=time,
            object=name + PARTS[part],
            version=stored.version,
            bytes=stored.bytes,
            sha256=stored.sha256,
            made_with={"mcp-platform": VERSION, **made_with},
            counts=counts,
        )
        body = manifest.encode(made)
        with _explained(f"put {name + FILE}"):
            self._client.put_object(
                **self._place, Key=name + FILE, Body=body, ChecksumAlgorithm="SHA256", **self._encryption()
            )
        get_logger().info("backed up", part=part, time=time, bytes=stored.bytes, sha256=stored.sha256)
        return made

    def times(self, part: str) -> list[str]:
        """Of the backups that there are, oldest first."""
        prefix = manifest.folder(self._settings.stack, part)
        with _explained(f"list {prefix}"):
            pages = self._client.get_paginator("list_objects_v2").paginate(**self._place, Prefix=prefix)
            names = [str(item["Key"]) for page in pages for item in page.get("Contents", ())]
        found = [name.removeprefix(prefix).removesuffix(f"/{FILE}") for name in names if name.endswith(FILE)]
        return sorted(time for time in found if manifest.is_time(time))

    def find(self, part: str, at: str) -> Manifest:
        """The manifest of a backup by its time, or `newest`.

        Raises:
            RefusedError: There is none, or it can't be used.
        """
        known = self.times(part)
        time = known[-1] if known and at == "newest" else at
        if time not in known:
            latest = ", ".join(known[-5:]) or "none"
            raise RefusedError(f"no backup of {part} at {at}; the latest are {latest}")
        name = manifest.folder(self._settings.stack, part, time) + FILE
        with _explained(f"get {name}"):
            body: bytes = self._client.get_object(**self._place, Key=name)["Body"].read(_MOST_MANIFEST_BYTES)
        return manifest.decode(body, self._settings.stack, part, time)

    def read(self, found: Manifest) -> Iterator[bytes]:
        """The data of a backup; what it ends with is only given if all of it is as it was.

        Raises:
            RefusedError: It isn't.
            BackupError: It can't be read.
        """
        version = {"VersionId": found.version} if found.version else {}
        digest, size, held = hashlib.sha256(), 0, b""
        with _explained(f"get {found.object}"):
            body = self._client.get_object(**self._place, Key=found.object, **version)["Body"]
            for chunk in body.iter_chunks(CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
                if held:
                    yield held
                held = chunk
        if (size, digest.hexdigest()) != (found.bytes, found.sha256):
            raise RefusedError(
                f"{found.object}: {size} bytes with SHA-256 {digest.hexdigest()}; its manifest says "
                f"{found.bytes} with {found.sha256}"
            )
        yield held

    def _upload(self, name: str, data: Iterable[bytes]) -> Stored:
        digest, size = hashlib.sha256(), 0
        parts: list[dict[str, Any]] = []
        upload: dict[str, str] = {}
        try:
            # What is begun must be known here, or nobody could take it back.
            with uninterrupted(), _explained(f"put {name}"):
                begun = self._client.create_multipart_upload(
                    **self._place, Key=name, ChecksumAlgorithm="SHA256", **self._encryption()
                )
                upload = {**self._place, "Key": name, "UploadId": begun["UploadId"]}
            for piece in pieces(data, self._settings.part_mib * _MIB):
                digest.update(piece)
                size += len(piece)
                parts.append(self._upload_part(upload, len(parts) + 1, piece))
            with _explained(f"put {name}"):
                done = self._client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        except BaseException:
            if upload:
                self._abort(upload)
            raise
        return Stored(size, digest.hexdigest(), done.get("VersionId"))

    def _upload_part(self, upload: dict[str, str], number: int, piece: bytes) -> dict[str, Any]:
        if number > _MOST_PARTS:
            raise BackupError(f"more than {_MOST_PARTS} pieces; set BACKUP_PART_MIB higher")
        with _explained(f"put piece {number} of {upload['Key']}"):
            done = self._client.upload_part(
                **upload, PartNumber=number, Body=piece, ChecksumAlgorithm="SHA256"
            )
        known = {key: done[key] for key in ("ETag", "ChecksumSHA256") if key in done}
        return {"PartNumber": number, **known}

    def _abort(self, upload: dict[str, str]) -> None:
        """Take an upload back; where that fails, too, the bucket's lifecycle rule does it later."""
        with suppress(BackupError), _explained("abort"):
            self._client.abort_multipart_upload(**upload)
            get_logger().warning("upload taken back", object=upload["Key"])

    def _encryption(self) -> dict[str, Any]:
        match self._settings.encryption:
            case "none":
                return {}
            case "AES256":
                return {"ServerSideEncryption": "AES256"}
            case "aws:kms":
                key = {"SSEKMSKeyId": self._settings.key} if self._settings.key else {}
                return {"ServerSideEncryption": "aws:kms", "BucketKeyEnabled": True, **key}


def pieces(data: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in pieces of one size; the last may be smaller, and there is one at least."""
    buffer = bytearray()
    given = False
    for chunk in data:
        buffer += chunk
        while len(buffer) >= size:
            yield bytes(buffer[:size])
            del buffer[:size]
            given = True
    if buffer or not given:
        yield bytes(buffer)


@contextmanager
def uninterrupted() -> Generator[None]:
    """SIGTERM waits for the end of the block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _explained(what: str) -> Generator[None]:
    """Turns what the client raises into one line that holds no credentials."""
    try:
        yield
    except ClientError as error:
        detail = error.response.get("Error", {})
        raise BackupError(f"{what}: {detail.get('Code')}: {detail.get('Message')}") from None
    except (BotoCoreError, OSError) as error:
        raise BackupError(f"{what}: {' '.join(str(error).split())}") from None


def _client(settings: BucketSettings) -> Any:  # noqa: ANN401 - botocore makes the class at run time
    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        # Other servers than AWS's have one name for all buckets.
        s3={"addressing_style": "path" if settings.endpoint else "virtual"},
        user_agent_appid="mcp-platform-backup",
    )
    return _session(settings.credentials).client(
        "s3", region_name=settings.region, endpoint_url=settings.endpoint, config=config
    )


def _session(credentials: Path | None) -> boto3.Session:
    """Of its own: what boto3 keeps for the whole process would go on with whoever came first."""
    if credentials is None:
        return boto3.Session()
    return boto3.Session(
        *(read_secret(credentials / name) for name in ("access_key_id", "secret_access_key"))
    )
