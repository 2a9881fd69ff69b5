"""A Postgres of Debian's for the tests of all services."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import yaml

from infra.cluster import packages
from services.gateway.migrate import main as migrate
from tests.ports import free_port

START_SECONDS = 60.0
VERSIONS = Path("/usr/lib/postgresql")
_numbers = itertools.count(1)


class PostgresServer:
    """A server of its own that can stop, hang and come back. It runs as `postgres`, since root can't."""

    OWNER = "owner"
    PASSWORD = "owner's password"

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self.log = self.folder / "log"
        self.programs = _binaries()
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(self.folder, account.pw_uid, account.pw_gid)
            self._user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        self.port = free_port()
        password = self.folder / "password"
        password.write_text(self.PASSWORD)
        options = ["--pgdata", self.folder / "data", "--username", self.OWNER, "--pwfile", password]
        options += ["--auth", "scram-sha-256", "--no-sync", "--encoding", "UTF8", "--locale", "C"]
        subprocess.run([self.programs / "initdb", *options], check=True, capture_output=True, **self._user)
        self.start()

    def start(self) -> None:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "log_statement": "all",
            "shared_buffers": "16MB",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                [self.programs / "postgres", "-D", self.folder / "data", *options],
                stdout=log,
                stderr=log,
                **self._user,
            )
        deadline = time.monotonic() + START_SECONDS
        ready = [self.programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ready, check=False).returncode:
            assert self._popen.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        """At once, as a crash would."""
        self._signal(signal.SIGCONT)
        self._popen.send_signal(signal.SIGQUIT)
        self._popen.wait(START_SECONDS)

    def hang(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def remove(self) -> None:
        if self._popen.poll() is None:
            self.stop()
        shutil.rmtree(self.folder)

    def _signal(self, number: signal.Signals) -> None:
        """To the server and to each connection's process, which are sessions of their own."""
        pid = self._popen.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for each in (pid, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):  # a connection may just have ended
                os.kill(each, number)

    async def connect(self, database: str = "postgres") -> asyncpg.Connection:
        return await asyncpg.connect(
            host="127.0.0.1", port=self.port, user=self.OWNER, password=self.PASSWORD, database=database
        )


@dataclass
class Store:
    """An empty database of a server, and what a gateway needs to use it."""

    server: PostgresServer
    folder: Path
    name: str
    role: str

    @property
    def settings(self) -> dict[str, Any]:
        """As `postgres` of the gateway's configuration."""
        return {
            "host": "127.0.0.1",
            "port": self.server.port,
            "database": self.name,
            "user": self.role,
            "password_file": str(self.folder / "role"),
            "timeout_seconds": 2,
        }

    def make(self) -> Store:
        (self.folder / "role").write_text("the role's password\n")
        (self.folder / "owner").mkdir()
        (self.folder / "owner" / "username").write_text(f"{PostgresServer.OWNER}\n")
        (self.folder / "owner" / "password").write_text(f"{PostgresServer.PASSWORD}\n")
        self.run(lambda connection: connection.execute(f"CREATE DATABASE {self.name}"), "postgres")
        return self

    def migrate(self) -> Store:
        """Make the gateway's schema and role, as its init container does."""
        config = self.folder / "migrate.yaml"
        config.write_text(yaml.safe_dump({**_SMALLEST, "postgres": self.settings}))
        migrate(["--config", str(config), "--owner", str(self.folder / "owner")])
        return self

    def run(self, work: Callable[[asyncpg.Connection], Awaitable[Any]], database: str | None = None) -> Any:
        """What `work` gives, which gets a connection as the owner."""

        async def main() -> Any:
            connection = await self.server.connect(database or self.name)
            try:
                return await work(connection)
            finally:
                await connection.close()

        return asyncio.run(main())

    def rows(self, query: str, *arguments: Any) -> list[dict[str, Any]]:
        async def fetch(connection: asyncpg.Connection) -> list[dict[str, Any]]:
            return [dict(row) for row in await connection.fetch(query, *arguments)]

        return self.run(fetch)


_SMALLEST = {
    "listen": {"host": "127.0.0.1"},
    "auth": "none",
    "servers": [{"name": "any", "urls": ["http://127.0.0.1:1/mcp"]}],
}


def _binaries() -> Path:
    """The folder of the server's programs; installed where it is missing and we may."""
    for _ in range(2):
        found = sorted(VERSIONS.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
        if found:
            return found[-1].parent
        settings = Path("/etc/postgresql-common/createcluster.conf")
        if os.geteuid() == 0 and not settings.exists():
            settings.parent.mkdir(exist_ok=True)
            settings.write_text("create_main_cluster = false\n")
        packages.ensure({"initdb": ["postgresql"]}, print, "this test")
    raise AssertionError("apt-get installed no Postgres")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One for all tests that leave it running."""
    server = PostgresServer()
    yield server
    server.remove()


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """One for a test that stops it."""
    server = PostgresServer()
    yield server
    server.remove()


def _store(server: PostgresServer, folder: Path) -> Store:
    number = next(_numbers)
    return Store(server, folder, f"database_{number}", f"gateway_{number}").make()


@pytest.fixture
def store(postgres: PostgresServer, tmp_path: Path) -> Store:
    return _store(postgres, tmp_path)


@pytest.fixture
def own_store(own_postgres: PostgresServer, tmp_path: Path) -> Store:
    return _store(own_postgres, tmp_path)
