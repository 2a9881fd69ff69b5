"""The postgres image: initialised once, whole or not at all, as any user."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.images.oci import Container, until, volume

pytestmark = pytest.mark.images

Make = Callable[..., Container]

MOUNT = "/var/lib/postgresql/data"
SETTINGS = {
    "POSTGRES_USER": "mcp",
    "POSTGRES_DB": "things",
    "POSTGRES_PASSWORD_FILE": "/run/secrets/password",
    "PGDATA": f"{MOUNT}/pgdata",
}


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "password").write_text("pass word'\"\n")
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return volume(tmp_path / "data")


@pytest.fixture
def server(container: Make, data: Path, secrets: Path) -> Container:
    return container(
        "postgres",
        env=dict(SETTINGS),
        volumes={MOUNT: data, "/run/secrets": secrets},
        scratch=["/var/run/postgresql", "/tmp"],  # noqa: S108 - the container's own
    )


def ready(server: Container) -> None:
    answered = lambda: "accepting" in server.exec("pg_isready", "-h", "127.0.0.1", "-U", "mcp", check=False)  # noqa: E731 - a condition
    until(answered, 120, lambda: server.log)


def sql(server: Container, statement: str) -> str:
    script = 'PGPASSWORD="$(cat /run/secrets/password)" exec psql -XAtq -h 127.0.0.1 -U mcp -d things -c "$0"'
    return server.exec("sh", "-c", script, statement).strip()


def test_the_first_start_initialises_and_a_later_one_finds_its_data(server: Container, data: Path) -> None:
    server.start()
    ready(server)
    assert sql(server, "SHOW data_checksums") == "on"
    assert sql(server, "SHOW password_encryption") == "scram-sha-256"
    assert (
        sql(server, "SELECT datlocprovider, datcollate FROM pg_database WHERE datname = 'things'")
        == "b|C.UTF-8"
    )
    sql(server, "CREATE TABLE kept AS SELECT 42 AS answer")
    server.stop()
    assert "database system is shut down" in server.log.splitlines()[-1]

    del server.env["POSTGRES_PASSWORD_FILE"]  # the password is for the first start only
    server.start()
    ready(server)
    assert sql(server, "SELECT answer FROM kept") == "42"
    assert "initialising" not in server.log
    assert sorted(path.name for path in data.iterdir()) == ["pgdata"]


def test_no_password_opens_nothing(server: Container) -> None:
    server.start()
    ready(server)
    for options in (["-h", "127.0.0.1"], []):
        assert (
            server.exec("psql", "-w", "-U", "mcp", *options, "-d", "things", "-c", "SELECT 1", check=False)
            == ""
        )


def test_an_initialisation_that_was_killed_is_done_again(
    server: Container, data: Path, tmp_path: Path
) -> None:
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "endless.sh").write_text("exec sleep 3600")
    server.volumes["/docker-entrypoint-initdb.d"] = scripts
    server.start()
    until(lambda: "running /docker-entrypoint-initdb.d/endless.sh" in server.log, 120, lambda: server.log)
    assert (data / "pgdata.initialising/base").exists()
    server.kill("SIGKILL")
    server.wait()
    assert not (data / "pgdata").exists()
    (scripts / "endless.sh").unlink()
    server.start()
    ready(server)
    assert sql(server, "SELECT 1") == "1"
    assert sorted(path.name for path in data.iterdir()) == ["pgdata"]


def test_scripts_run_once(server: Container, tmp_path: Path) -> None:
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "1.sql").write_text("CREATE TABLE log (line text);")
    (scripts / "2.sh").write_text('psql -Xq -d "$POSTGRES_DB" -c "INSERT INTO log VALUES (\'from sh\')"')
    server.volumes["/docker-entrypoint-initdb.d"] = scripts
    for _start in range(2):
        server.start()
        ready(server)
        assert sql(server, "SELECT line FROM log") == "from sh"
        server.stop()


def test_metrics_tell_that_the_server_is_up(server: Container, secrets: Path) -> None:
    (secrets / "password").write_text("s3cret")  # the exporter can't read quotes and spaces
    server.start()
    ready(server)
    settings = {
        "DATA_SOURCE_USER": "mcp",
        "DATA_SOURCE_PASS_FILE": "/run/secrets/password",
        "DATA_SOURCE_URI": "127.0.0.1/things?sslmode=disable",
    }
    words = " ".join(f"{key}={value}" for key, value in settings.items())
    server.exec("sh", "-c", f"{words} postgres_exporter >/dev/null 2>&1 &")
    until(
        lambda: "\npg_up 1\n" in server.http(9187, "/metrics"),
        60,
        lambda: server.http(9187, "/metrics")[:2000],
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"POSTGRES_PASSWORD_FILE": ""}, "error: no superuser password"),
        (
            {"POSTGRES_PASSWORD": "another"},
            "error: both POSTGRES_PASSWORD and POSTGRES_PASSWORD_FILE are set",
        ),
        ({"POSTGRES_PASSWORD_FILE": "/nowhere"}, "error: POSTGRES_PASSWORD_FILE can't be read"),
        ({"PGDATA": "/usr/pgdata"}, "error: uid 23456 can't write to /usr"),
        ({"PGDATA": MOUNT}, "error: uid 23456 can't write to /var/lib/postgresql"),
    ],
)
def test_what_is_missing_is_said_and_nothing_is_made(
    server: Container, data: Path, change: dict[str, str], message: str
) -> None:
    server.env.update(change)
    server.start()
    server.wait()
    assert message in server.log
    assert "hint: " in server.log
    assert list(data.iterdir()) == []


def test_data_of_another_major_version_is_left_alone(server: Container, data: Path) -> None:
    pgdata = data / "pgdata"
    pgdata.mkdir()
    (pgdata / "PG_VERSION").write_text("16\n")
    server.start()
    server.wait()
    assert "was made by PostgreSQL 16, this is 17" in server.log
    assert (pgdata / "PG_VERSION").read_text() == "16\n"


def test_options_alone_start_the_server_and_other_commands_run_as_they_are(
    container: Make, server: Container
) -> None:
    server.args = ["-c", "max_connections=33"]
    server.start()
    ready(server)
    assert sql(server, "SHOW max_connections") == "33"
    other = container("postgres", folder="other", args=["postgres", "--version"])
    other.args = ["pg_dump", "--version"]
    other.start()
    other.wait()
    assert "pg_dump (PostgreSQL) 17" in other.log
