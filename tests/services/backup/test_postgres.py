"""A database comes back as it was, at once or not at all; by a role that can only read."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from services.backup.logins import ROLE
from tests.faults.proxy import Proxy
from tests.services.backup.conftest import Database, Jobs, through
from tests.services.gateway.conftest import wait_for

pytestmark = pytest.mark.timeout(300)
SLOW_SECONDS = 2.0
"""How late each answer of the bucket is: a backup takes longer than a busy machine takes to act on it."""


def test_what_was_backed_up_is_there_again_and_nothing_else(database: Database) -> None:
    before = database.things()
    database.back_up()
    database.execute("DELETE FROM gateway.things WHERE number > 3")
    database.execute("CREATE TABLE gateway.of_a_later_release AS SELECT 1")
    database.jobs.must("restore", "postgres", database.owner, BACKUP_AT="newest")
    assert database.things() == before
    assert database.store.rows("SELECT to_regclass('gateway.of_a_later_release') AS found") == [
        {"found": None}
    ]
    database.store.migrate()  # as the gateway's init container does, which gives its role its rights again


def test_a_database_that_is_gone_comes_back_whole(database: Database) -> None:
    before = database.things()
    database.back_up()
    database.execute("DROP SCHEMA gateway CASCADE")
    (time,) = {key.split("/")[2] for key in database.jobs.objects()}
    database.jobs.must("restore", "postgres", database.owner, BACKUP_AT=time)
    assert database.things() == before
    with pytest.raises(asyncpg.PostgresError, match="append-only"):
        database.execute("TRUNCATE gateway.audit")


def test_the_manifest_says_what_is_in_it(database: Database) -> None:
    database.back_up()
    name, manifest = database.jobs.manifest("postgres")
    assert manifest["counts"]["gateway.things"] == 20
    assert manifest["counts"]["gateway.audit"] == 0
    assert manifest["object"] == name.replace("manifest.json", "database.pgdump")
    body = database.jobs.s3.get_object(Bucket=database.jobs.bucket, Key=manifest["object"])["Body"].read()
    assert len(body) == manifest["bytes"]
    assert body.startswith(b"PGDMP")


def test_a_dump_is_stored_in_pieces_that_fit_in_memory(database: Database) -> None:
    database.fill(120, 100_000)
    before = database.things()
    database.back_up()
    _, manifest = database.jobs.manifest("postgres")
    head = database.jobs.s3.head_object(Bucket=database.jobs.bucket, Key=manifest["object"])
    assert head["ETag"].strip('"').endswith("-3")
    assert head["ServerSideEncryption"] == "AES256"
    database.execute("TRUNCATE gateway.things")
    database.jobs.must("restore", "postgres", database.owner, BACKUP_AT="newest")
    assert database.things() == before


def test_the_role_that_dumps_reads_everything_changes_nothing_and_ends(database: Database) -> None:
    database.prepare(seconds=600)
    login = database.jobs.login("login")
    secret = (login / "password").read_text()
    assert (login / "username").read_text() == ROLE
    assert (login / "password").stat().st_mode & 0o077 == 0

    async def as_role(connection: asyncpg.Connection) -> list[str]:
        await connection.execute(f"SET ROLE {ROLE}")
        await connection.fetch("SELECT * FROM gateway.things")
        refused: list[str] = []
        for statement in (
            "INSERT INTO gateway.things (value) VALUES ('')",
            "DELETE FROM gateway.tasks",
            "CREATE TABLE public.mine ()",
            "CREATE ROLE other",
        ):
            try:
                await connection.execute(statement)
            except asyncpg.InsufficientPrivilegeError:
                refused.append(statement)
        return refused

    assert len(database.store.run(as_role)) == 4
    (row,) = database.store.rows("SELECT rolvaliduntil FROM pg_roles WHERE rolname = $1", ROLE)
    assert row["rolvaliduntil"] <= datetime.now(UTC) + timedelta(seconds=601)
    database.prepare()
    assert (login / "password").read_text() != secret


def test_an_owner_that_is_no_superuser_gives_what_it_has(database: Database) -> None:
    name, owner = database.store.name, database.jobs.login("plain")
    database.prepare()  # so that there is a role to remove
    database.execute(f"CREATE ROLE plain_{name} LOGIN CREATEROLE PASSWORD 'plain'")
    database.execute(f"ALTER DATABASE {name} OWNER TO plain_{name}")
    database.execute(f"ALTER SCHEMA gateway OWNER TO plain_{name}")
    for table in ("things", "audit", "tasks", "schema_version"):
        database.execute(f"ALTER TABLE gateway.{table} OWNER TO plain_{name}")
    database.execute(f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")
    (owner / "username").write_text(f"plain_{name}")
    (owner / "password").write_text("plain")
    database.jobs.must("prepare", "postgres", f"--owner={owner}", database.backup)
    database.jobs.must("postgres", database.backup)
    assert database.jobs.manifest("postgres")[1]["counts"]["gateway.things"] == 20


@pytest.mark.parametrize("harm", ["changed", "shorter", "longer"])
def test_a_backup_that_is_not_what_was_backed_up_is_refused(database: Database, harm: str) -> None:
    database.back_up()
    database.execute("DELETE FROM gateway.things WHERE number > 3")
    _, manifest = database.jobs.manifest("postgres")
    name = manifest["object"]
    body = database.jobs.s3.get_object(Bucket=database.jobs.bucket, Key=name)["Body"].read()
    middle = len(body) - 20
    wrong = {
        "changed": body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :],
        "shorter": body[:-1],
        "longer": body + b"\0",
    }[harm]
    database.jobs.replace(name, wrong)
    done = database.jobs.run("restore", "postgres", database.owner, BACKUP_AT="newest")
    assert done.status == 3
    assert "SHA-256" in done.reason
    assert len(database.things()) == 3


def test_whoever_replaces_a_backup_later_changes_nothing_where_versions_are_kept(
    versioned: Jobs, database: Database
) -> None:
    before = database.things()
    database.back_up()
    _, manifest = versioned.manifest("postgres")
    assert manifest["version"]
    versioned.replace(manifest["object"], b"ransom")
    versioned.s3.delete_object(Bucket=versioned.bucket, Key=manifest["object"])
    database.execute("TRUNCATE gateway.things")
    versioned.must("restore", "postgres", database.owner, BACKUP_AT="newest")
    assert database.things() == before


def test_a_restore_that_fails_in_the_middle_changes_nothing(database: Database) -> None:
    database.back_up()
    database.execute("DELETE FROM gateway.things WHERE number > 3")
    # By whoever may read everything and drop nothing.
    done = database.jobs.run("restore", "postgres", database.backup, BACKUP_AT="newest")
    assert done.status == 1
    assert "psql: ERROR: must be owner of schema gateway" in done.reason
    assert len(database.things()) == 3


def test_a_dump_that_fails_leaves_nothing_behind(database: Database, proxy: Proxy) -> None:
    database.prepare()
    database.fill(120, 100_000)
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY%'"
    proxy.latency = SLOW_SECONDS
    job = database.jobs.start("postgres", database.backup, **through(proxy))
    wait_for(lambda: any(row["pg_terminate_backend"] for row in database.store.rows(kill)), "dump")
    proxy.latency = 0.0
    done = job.end()
    assert done.status == 1
    assert "pg_dump" in done.reason
    assert database.jobs.objects() == []
    assert database.jobs.uploads() == []


@pytest.mark.parametrize("moment", ["it has begun", "it goes on"])
def test_a_job_that_is_told_to_end_takes_back_what_it_uploaded(
    database: Database, proxy: Proxy, moment: str
) -> None:
    jobs = database.jobs
    database.prepare()
    database.fill(120, 100_000)
    proxy.latency = SLOW_SECONDS
    job = jobs.start("postgres", database.backup, **through(proxy))
    (upload,) = wait_for(jobs.uploads, "upload")
    if moment == "it goes on":
        known = {"Bucket": jobs.bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
        wait_for(lambda: jobs.s3.list_parts(**known).get("Parts"), "piece")
    job.popen.send_signal(signal.SIGTERM)
    proxy.latency = 0.0
    done = job.end()
    assert done.status == 143
    assert database.jobs.uploads() == []
    assert database.jobs.objects() == []


def test_a_bucket_that_goes_away_is_a_failure_and_no_backup(database: Database, proxy: Proxy) -> None:
    database.prepare()
    database.fill(120, 100_000)
    proxy.latency = SLOW_SECONDS
    job = database.jobs.start("postgres", database.backup, **through(proxy))
    wait_for(database.jobs.uploads, "upload")
    proxy.cut("reset")
    done = job.end()
    assert done.status == 1
    assert database.jobs.objects() == []


def test_a_restore_that_is_told_to_end_changes_nothing(database: Database, proxy: Proxy) -> None:
    database.fill(120, 100_000)
    database.back_up()
    database.execute("DELETE FROM gateway.things WHERE number > 3")
    waiting = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%COPY%' AND pid <> pg_backend_pid()"
    proxy.latency = 0.05
    job = database.jobs.start("restore", "postgres", database.owner, BACKUP_AT="newest", **through(proxy))
    wait_for(lambda: job.popen.poll() is not None or database.store.rows(waiting), "restore")
    done = job.stop()
    assert done.status == 143
    assert len(database.things()) == 3


def test_a_restore_must_be_told_which_backup(database: Database) -> None:
    database.back_up()
    done = database.jobs.run("restore", "postgres", database.owner)
    assert done.status == 2
    assert "BACKUP_AT" in done.reason
    done = database.jobs.run("restore", "postgres", database.owner, BACKUP_AT="20200101T000000Z")
    assert done.status == 3
    time = database.jobs.objects()[0].split("/")[2]
    assert time in done.reason


def test_a_drill_restores_beside_and_compares(database: Database) -> None:
    database.back_up()
    scratch = f"{database.store.name}_scratch"
    database.execute(f"CREATE DATABASE {scratch}")
    place = {**json.loads(database.jobs.env["BACKUP_POSTGRES"]), "database": scratch}
    env = {"BACKUP_POSTGRES": json.dumps(place)}
    done = database.jobs.must("drill", "postgres", database.owner, **env)
    assert done.events[-1]["event"] == "drill passed"
    name, manifest = database.jobs.manifest("postgres")
    manifest["counts"]["gateway.things"] = 21
    database.jobs.replace(name, json.dumps(manifest).encode())
    done = database.jobs.run("drill", "postgres", database.owner, **env)
    assert done.status == 3
    assert "gateway.things 21 -> 20" in done.reason


def test_no_password_is_told_anybody(database: Database) -> None:
    done = database.back_up()
    secret = (database.jobs.login("login") / "password").read_text()
    restored = database.jobs.run("restore", "postgres", database.owner, BACKUP_AT="newest")
    for text in (done.errors, done.text, restored.errors, database.store.server.log.read_text()):
        assert secret not in text
        assert database.store.server.PASSWORD not in text
