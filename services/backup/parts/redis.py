"""Redis or Valkey: copied as a replica would, and restored key by key out of a server that loads the copy."""

import socket
import ssl
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from shutil import which
from typing import IO, Final, cast

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from services.backup.bucket import CHUNK_BYTES, Bucket
from services.backup.errors import BackupError, RefusedError
from services.backup.manifest import Manifest
from services.backup.processes import Running, running
from services.backup.settings import PASSWORD, USERNAME, RedisPlace
from services.kit.logs import get_logger
from services.kit.postgres.settings import read_secret

HOST: Final = "host"
"""File of a login that was made at one member alone."""
TIMEOUT_SECONDS: Final = 60.0
LOAD_SECONDS: Final = 3600.0

_BATCH: Final = 500
_PAUSE_SECONDS: Final = 0.1
_FILE: Final = "snapshot.rdb"
_LONGEST_LINE: Final = 1024
_SERVERS: Final = ("valkey-server", "redis-server")


def login(folder: Path) -> tuple[str | None, str]:
    """The name and password that a folder holds; no name is the default user's."""
    name = folder / USERNAME
    return read_secret(name) if name.exists() else None, read_secret(folder / PASSWORD)


def client(place: RedisPlace, folder: Path, database: int = 0) -> redis.Redis:
    """For whom the files of `folder` name."""
    user, password = login(folder)
    return redis.Redis(
        host=place.host,
        port=place.port,
        db=database,
        username=user,
        password=password,
        ssl=place.tls,
        socket_timeout=TIMEOUT_SECONDS,
    )


def primary(place: RedisPlace, folder: Path) -> RedisPlace:
    """The member that takes writes.

    Raises:
        BackupError: None does.
    """
    found = _roles(place, folder)
    if "master" not in found:
        raise BackupError(f"redis {', '.join(place.hosts)}: none is the primary")
    return found["master"]


def copied(place: RedisPlace, folder: Path) -> RedisPlace:
    """The member to copy: a replica where there is one; a primary's Sentinels would take us for another.

    Raises:
        BackupError: None answers.
    """
    found = _roles(place, folder)
    if not found:
        raise BackupError(f"redis {', '.join(place.hosts)}: none answers")
    return found.get("slave", next(iter(found.values())))


def _roles(place: RedisPlace, folder: Path) -> dict[str, RedisPlace]:
    """A member of each role; of one server, whatever it is, that one."""
    if len(place.hosts) == 1:
        return {"master": place}
    found: dict[str, RedisPlace] = {}
    for host in place.hosts:
        with suppress(RedisError), client(place.only(host), folder) as connection:
            role = cast("list[bytes]", connection.role())[0].decode()
            found.setdefault(role, place.only(host))
    return found


def back_up(bucket: Bucket, place: RedisPlace, folder: Path) -> Manifest:
    """Copy it, or the member for which the login was made.

    Raises:
        BackupError: It can't be copied, or not be stored.
    """
    file = folder / HOST
    member = place.only(read_secret(file)) if file.exists() else place
    return bucket.keep("redis", snapshot(member, folder), {}, {})


def snapshot(place: RedisPlace, folder: Path) -> Iterator[bytes]:
    """What a replica gets first: https://redis.io/docs/latest/operate/oss_and_stack/management/replication/.

    By the protocol's oldest way, whose length is known before: others end with a mark of their own.

    Raises:
        BackupError: It doesn't give any, or not all of it.
    """
    user, password = login(folder)
    try:
        with _connection(place) as connection, connection.makefile("rb") as answers:
            connection.sendall(_command("AUTH", *([user] if user else []), password))
            _expect_ok(place, answers.readline(_LONGEST_LINE))
            connection.sendall(_command("SYNC"))
            left = _length(place, _answer(answers))
            while left:
                chunk = answers.read(min(left, CHUNK_BYTES))
                if not chunk:
                    raise BackupError(f"redis {place.host}: ended {left} bytes before its snapshot did")
                left -= len(chunk)
                yield chunk
    except OSError as error:
        raise BackupError(f"redis {place.host}: {error}") from None


def restore(found: Manifest, data: Iterator[bytes], place: RedisPlace, folder: Path, work: Path) -> None:
    """Replace all keys by those of a backup. Nothing is changed before the backup was loaded as a whole.

    Raises:
        BackupError: It can't be restored.
    """
    with loaded(found, data, work) as door:
        place = primary(place, folder)
        try:
            with client(place, folder) as target:
                target.flushall()
            for number in _databases(door):
                with _local(door, number) as source, client(place, folder, number) as target:
                    _copy(source, target)
        except RedisError as error:
            raise BackupError(f"redis {place.host}: {' '.join(str(error).split())}") from None


def check(found: Manifest, data: Iterator[bytes], work: Path) -> None:
    """Whether a server loads it.

    Raises:
        BackupError: It can't be loaded.
    """
    with loaded(found, data, work) as door:
        get_logger().info("loaded", time=found.time, keys=sum(_databases(door).values()))


@contextmanager
def loaded(found: Manifest, data: Iterator[bytes], work: Path) -> Generator[Path]:
    """The socket of a server of our own that has loaded a backup; it listens to no network."""
    file, door = work / _FILE, work / "redis.sock"
    program = next((path for name in _SERVERS if (path := which(name))), _SERVERS[0])
    command = [program, "--port", "0", "--unixsocket", str(door), "--dir", str(work), "--dbfilename", _FILE]
    command += ["--save", "", "--appendonly", "no", "--loglevel", "warning"]
    try:
        try:
            with file.open("wb") as output:
                output.writelines(data)
        except OSError as error:
            raise BackupError(f"{file}: {error.strerror}") from None
        with running(command, {}) as server:
            _wait(found, door, server)
            yield door
    finally:
        file.unlink(missing_ok=True)


def _local(door: Path, database: int = 0) -> redis.Redis:
    return redis.Redis(
        unix_socket_path=str(door), db=database, socket_timeout=TIMEOUT_SECONDS, retry=Retry(NoBackoff(), 0)
    )


def _wait(found: Manifest, door: Path, server: Running) -> None:
    deadline = time.monotonic() + LOAD_SECONDS
    while time.monotonic() < deadline:
        try:
            with _local(door) as source:
                source.ping()
        except RedisError:
            if server.process.poll() is not None:
                raise RefusedError(f"{found.object}: can't be loaded: {server.said()}") from None
            time.sleep(_PAUSE_SECONDS)
        else:
            return
    raise BackupError(f"{found.object}: isn't loaded after {LOAD_SECONDS:g} s")


def _databases(door: Path) -> dict[int, int]:
    """How many keys each database has; empty ones are left out."""
    with _local(door) as source:
        found = cast("dict[str, dict[str, int]]", source.info("keyspace"))
    return {int(name.removeprefix("db")): of["keys"] for name, of in found.items()}


def _copy(source: redis.Redis, target: redis.Redis) -> None:
    keys = source.scan_iter(count=_BATCH)
    while batch := list(islice(keys, _BATCH)):
        reading = source.pipeline(transaction=False)
        for key in batch:
            reading.pexpiretime(key)
            reading.dump(key)
        read = reading.execute()
        writing = target.pipeline(transaction=False)
        for key, expires, value in zip(batch, read[::2], read[1::2], strict=True):
            if value is not None:
                writing.restore(key, max(0, expires), value, replace=True, absttl=True)
        writing.execute()


def _connection(place: RedisPlace) -> socket.socket:
    plain = socket.create_connection((place.host, place.port), TIMEOUT_SECONDS)
    if not place.tls:
        return plain
    return ssl.create_default_context().wrap_socket(plain, server_hostname=place.host)


def _command(*words: str) -> bytes:
    encoded = [word.encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)


def _answer(answers: IO[bytes]) -> bytes:
    """The next line that says something: empty ones mean that the snapshot is being made."""
    while (line := answers.readline(_LONGEST_LINE)) == b"\n":
        pass
    return line


def _expect_ok(place: RedisPlace, line: bytes) -> None:
    if line != b"+OK\r\n":
        raise BackupError(f"redis {place.host}: {line.decode(errors='replace').strip() or 'no answer'}")


def _length(place: RedisPlace, line: bytes) -> int:
    if not line.startswith(b"$") or not line[1:].strip().isdigit():
        raise BackupError(f"redis {place.host}: {line.decode(errors='replace').strip() or 'no answer'}")
    return int(line[1:])
