"""Redis comes back key by key, with its types and times; by a user that can only copy."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest
import redis
from redis.exceptions import BusyLoadingError, NoPermissionError

from services.backup.parts import redis as part
from services.backup.settings import RedisPlace
from tests.services.backup.conftest import Cache
from tests.services.gateway.conftest import redis_program, wait_for

pytestmark = pytest.mark.timeout(300)


def fill(client: redis.Redis) -> None:
    client.set("text", "value")
    client.set("soon", "gone", ex=10_000)
    client.hset("hash", mapping={"a": "1", "b": "2"})
    client.zadd("sorted", {"x": 1.5, "y": 2})
    client.xadd("stream", {"field": "value"})
    for number in range(1500):
        client.rpush(f"list:{number}", *range(3))
    other = redis.Redis(port=client.connection_pool.connection_kwargs["port"], password="correct horse", db=3)
    other.set("elsewhere", os.urandom(1000))
    other.close()


def content(client: redis.Redis) -> dict[bytes, tuple[bytes, int]]:
    """Everything in database 0, with when it ends."""
    return {key: (client.dump(key), client.pexpiretime(key)) for key in client.scan_iter()}  # pyright: ignore[reportReturnType] - the client's types are of both kinds


def test_what_was_backed_up_is_there_again_and_nothing_else(cache: Cache) -> None:
    client = cache.server.client()
    fill(client)
    before = content(client)
    cache.back_up()
    client.flushall()
    client.set("later", "gone")
    done = cache.jobs.must("restore", "redis", cache.owner, cache.work, BACKUP_AT="newest")
    assert content(client) == before
    assert len(before) == 1505
    client.execute_command("SELECT", 3)
    assert len(client.get("elsewhere") or b"") == 1000
    assert done.events[-1]["part"] == "redis"
    assert list((cache.jobs.folder / "work").iterdir()) == []


def test_the_user_that_copies_can_do_nothing_else(cache: Cache) -> None:
    cache.server.client().set("text", "value")
    cache.back_up()
    password = (cache.jobs.login("login") / "password").read_text()
    client = redis.Redis(port=cache.server.port, username="backup", password=password)
    for command in (
        ["GET", "text"],
        ["SET", "text", "x"],
        ["KEYS", "*"],
        ["CONFIG", "GET", "*"],
        ["ACL", "LIST"],
    ):
        with pytest.raises(NoPermissionError):
            client.execute_command(*command)
    assert password not in cache.server.log.read_text()


def test_what_ended_meanwhile_does_not_come_back(cache: Cache) -> None:
    client = cache.server.client()
    client.set("kept", "value")
    client.set("ended", "value", px=1500)
    cache.back_up()
    while client.exists("ended"):
        pass
    cache.jobs.must("restore", "redis", cache.owner, cache.work, BACKUP_AT="newest")
    assert client.keys() == [b"kept"]


@pytest.mark.parametrize("harm", ["changed", "shorter"])
def test_a_backup_that_is_not_what_was_backed_up_is_refused(cache: Cache, harm: str) -> None:
    client = cache.server.client()
    client.set("text", "value")
    cache.back_up()
    client.set("text", "newer")
    _, manifest = cache.jobs.manifest("redis")
    name = manifest["object"]
    body = cache.jobs.s3.get_object(Bucket=cache.jobs.bucket, Key=name)["Body"].read()
    wrong = {"changed": body.replace(b"value", b"valve"), "shorter": body[:-9]}[harm]
    cache.jobs.replace(name, wrong)
    done = cache.jobs.run("restore", "redis", cache.owner, cache.work, BACKUP_AT="newest")
    assert done.status == 3
    assert client.get("text") == b"newer"


def test_what_no_server_loads_is_refused_before_anything_is_changed(cache: Cache) -> None:
    client = cache.server.client()
    client.set("text", "value")
    cache.back_up()
    name, manifest = cache.jobs.manifest("redis")
    body = b"REDIS0011 but not really"
    cache.jobs.replace(manifest["object"], body)
    manifest |= {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    cache.jobs.replace(name, json.dumps(manifest).encode())
    for arguments in (["restore", "redis", cache.owner, cache.work], ["drill", "redis", cache.work]):
        done = cache.jobs.run(*arguments, BACKUP_AT="newest")
        assert done.status == 3
        assert "can't be loaded" in done.reason
    assert client.get("text") == b"value"


def test_a_drill_loads_the_copy_beside(cache: Cache) -> None:
    cache.server.client().set("text", "value")
    cache.back_up()
    done = cache.jobs.must("drill", "redis", cache.work)
    assert done.events[-1]["event"] == "drill passed"


def test_a_server_that_refuses_or_is_away_is_a_failure_and_no_backup(cache: Cache) -> None:
    cache.back_up()
    before = cache.jobs.objects()
    (cache.jobs.login("login") / "password").write_text("wrong")
    done = cache.jobs.run("redis", cache.backup)
    assert done.status == 1
    assert "WRONGPASS" in done.reason
    cache.server.stop()
    assert cache.jobs.run("redis", cache.backup).status == 1
    assert cache.jobs.objects() == before
    assert cache.jobs.uploads() == []


def test_a_copy_that_ends_early_is_none(cache: Cache) -> None:

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"+OK\r\n")
                connection.recv(1000)
                connection.sendall(b"\n\n$1000\r\nREDIS0011")

        thread = threading.Thread(target=serve)
        thread.start()
        (cache.jobs.login("login") / "password").write_text("any")
        place = RedisPlace(hosts=("127.0.0.1",), port=listener.getsockname()[1])
        with pytest.raises(Exception, match="991 bytes before"):
            list(part.snapshot(place, cache.jobs.login("login")))
        thread.join()


def test_of_several_members_a_replica_is_copied_and_the_primary_restored(
    cache: Cache, tmp_path: Path
) -> None:
    """Members have one port and an address each, as pods do."""
    folder = tmp_path / "replica"
    folder.mkdir()
    port = cache.server.port
    command = [
        redis_program(),
        "--port",
        str(port),
        "--bind",
        "127.0.0.2",
        "--dir",
        str(folder),
        "--save",
        "",
    ]
    command += ["--requirepass", "correct horse", "--masterauth", "correct horse"]
    command += ["--replicaof", "127.0.0.1", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as replica:
        try:
            client = cache.server.client()
            client.set("text", "value")
            wait_for(lambda: client.info("replication")["connected_slaves"] == 1, "replica")  # pyright: ignore[reportIndexIssue] - the client's types are of both kinds
            other = redis.Redis("127.0.0.2", port, password="correct horse")

            def copied() -> object:
                with contextlib.suppress(BusyLoadingError):
                    return other.get("text")

            wait_for(copied, "its copy")
            place = {"hosts": ["127.0.0.1", "127.0.0.3", "127.0.0.2"], "port": port}
            cache.jobs.env["BACKUP_REDIS"] = json.dumps(place)
            cache.back_up()
            assert (cache.jobs.login("login") / "host").read_text() == "127.0.0.2"
            client.set("text", "newer")
            cache.jobs.must("restore", "redis", cache.owner, cache.work, BACKUP_AT="newest")
            assert client.get("text") == b"value"
        finally:
            replica.kill()
