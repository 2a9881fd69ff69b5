"""The jobs as processes of their own, with real stores and a real S3 server."""

from __future__ import annotations

import io
import itertools
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import structlog

from services.backup.__main__ import main
from tests.faults.proxy import Proxy
from tests.infra.aws.server import REGION, Server
from tests.services.conftest import PostgresServer, Store
from tests.services.gateway.conftest import RedisServer

REPOSITORY = Path(__file__).parents[3]
SECONDS = 120
_numbers = itertools.count(1)


@dataclass
class Done:
    """How a job ended."""

    status: int
    text: str
    errors: str

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.errors.splitlines() if line.startswith("{")]

    @property
    def reason(self) -> str:
        return str(self.events[-1]["reason"])


@dataclass
class Job:
    """One that runs."""

    popen: subprocess.Popen[str]

    def stop(self) -> Done:
        self.popen.send_signal(signal.SIGTERM)
        return self.end()

    def end(self) -> Done:
        text, errors = self.popen.communicate(timeout=SECONDS)
        return Done(self.popen.returncode, text, errors)


@contextmanager
def as_job(env: dict[str, str]) -> Generator[None]:
    """What a job changes of its process is as before when the block ends."""
    handler, logging_before = signal.getsignal(signal.SIGTERM), structlog.get_config()
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in env.items():
                patch.setenv(name, value)
            yield
    finally:
        signal.signal(signal.SIGTERM, handler)
        structlog.configure(**logging_before)
        root.handlers, root.level = handlers, level
        logging.captureWarnings(capture=False)


@dataclass
class Jobs:
    """Starts them, as a stack's CronJobs do."""

    folder: Path
    server: Server
    bucket: str
    env: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def s3(self) -> Any:
        return self.server.client("s3")

    def start(self, *arguments: str, **env: str) -> Job:
        command = [sys.executable, "-m", "services.backup", *arguments]
        popen = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env={**os.environ, **self.env, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return Job(popen)

    def run(self, *arguments: str, **env: str) -> Done:
        """In this process, which is quicker."""
        text, errors, status = io.StringIO(), io.StringIO(), 0
        with as_job({**self.env, **env}), redirect_stdout(text), redirect_stderr(errors):
            try:
                main(arguments)
            except SystemExit as end:
                status = int(end.code or 0)
        return Done(status, text.getvalue(), errors.getvalue())

    def must(self, *arguments: str, **env: str) -> Done:
        done = self.run(*arguments, **env)
        assert done.status == 0, done.errors
        return done

    def login(self, name: str) -> Path:
        path = self.folder / name
        path.mkdir(exist_ok=True)
        return path

    def objects(self) -> list[str]:
        return [it["Key"] for it in self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])]

    def uploads(self) -> list[Any]:
        return self.s3.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])

    def manifest(self, part: str) -> tuple[str, dict[str, Any]]:
        """The newest one's name and content."""
        name = max(key for key in self.objects() if f"/{part}/" in key and key.endswith("manifest.json"))
        return name, json.loads(self.s3.get_object(Bucket=self.bucket, Key=name)["Body"].read())

    def replace(self, name: str, body: bytes) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=name, Body=body)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("s3") / "server.log")
    yield running
    running.stop()


@pytest.fixture
def jobs(server: Server, tmp_path: Path) -> Jobs:
    """With a bucket of their own, which keeps no versions."""
    made = Jobs(tmp_path, server, f"backups-{next(_numbers)}")
    made.s3.create_bucket(Bucket=made.bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    credentials = made.login("credentials")
    (credentials / "access_key_id").write_text("test\n")
    (credentials / "secret_access_key").write_text("test\n")
    made.env = {
        "BACKUP_STACK": "test",
        "BACKUP_NAMESPACE": "mcp-test",
        "BACKUP_BUCKET": f"s3://{made.bucket}",
        "BACKUP_REGION": REGION,
        "BACKUP_ENDPOINT": server.url,
        "BACKUP_CREDENTIALS": str(credentials),
        "BACKUP_PART_MIB": "5",
    }
    return made


@pytest.fixture
def versioned(jobs: Jobs) -> Jobs:
    """With a bucket that keeps versions."""
    jobs.s3.put_bucket_versioning(Bucket=jobs.bucket, VersioningConfiguration={"Status": "Enabled"})
    return jobs


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    """In front of the bucket."""
    made = Proxy(server.port)
    yield made
    made.close()


def through(proxy: Proxy) -> dict[str, str]:
    return {"BACKUP_ENDPOINT": f"http://127.0.0.1:{proxy.port}"}


@dataclass
class Database:
    """A database with a gateway's schema and something in it, and its jobs."""

    jobs: Jobs
    store: Store

    @property
    def owner(self) -> str:
        return f"--login={self.store.folder / 'owner'}"

    @property
    def backup(self) -> str:
        return f"--login={self.jobs.login('login')}"

    def prepare(self, seconds: int = 600) -> None:
        owner = f"--owner={self.store.folder / 'owner'}"
        self.jobs.must("prepare", "postgres", owner, self.backup, f"--seconds={seconds}")

    def back_up(self) -> Done:
        self.prepare()
        return self.jobs.must("postgres", self.backup)

    def things(self) -> list[dict[str, Any]]:
        return self.store.rows("SELECT * FROM gateway.things ORDER BY number")

    def execute(self, statement: str, *arguments: Any) -> None:
        async def run(connection: asyncpg.Connection) -> None:
            await connection.execute(statement, *arguments)

        self.store.run(run)

    def fill(self, rows: int, size: int) -> None:
        """Bytes that don't become less."""
        values = [(os.urandom(size),) for _ in range(rows)]

        async def run(connection: asyncpg.Connection) -> None:
            await connection.executemany("INSERT INTO gateway.things (value) VALUES ($1)", values)

        self.store.run(run)


@pytest.fixture
def database(jobs: Jobs, store: Store, postgres: PostgresServer) -> Database:
    place = {"host": "127.0.0.1", "port": postgres.port, "database": store.name}
    jobs.env["BACKUP_POSTGRES"] = json.dumps(place)
    jobs.env["PATH"] = f"{postgres.programs}:{os.environ['PATH']}"
    made = Database(jobs, store.migrate())
    made.execute("CREATE TABLE gateway.things (number serial PRIMARY KEY, value bytea)")
    made.fill(20, 100)
    return made


@dataclass
class Cache:
    """A Redis with something in it, and its jobs."""

    jobs: Jobs
    server: RedisServer

    @property
    def owner(self) -> str:
        return f"--login={self.jobs.folder / 'owner'}"

    @property
    def backup(self) -> str:
        return f"--login={self.jobs.login('login')}"

    @property
    def work(self) -> str:
        return f"--work={self.jobs.login('work')}"

    def back_up(self) -> Done:
        owner = f"--owner={self.jobs.folder / 'owner'}"
        self.jobs.must("prepare", "redis", owner, self.backup)
        return self.jobs.must("redis", self.backup)


@pytest.fixture
def cache(jobs: Jobs, tmp_path: Path) -> Iterator[Cache]:
    redis_server = RedisServer(tmp_path)
    jobs.env["BACKUP_REDIS"] = json.dumps({"hosts": ["127.0.0.1"], "port": redis_server.port})
    (jobs.login("owner") / "password").write_text(redis_server.PASSWORD)
    yield Cache(jobs, redis_server)
    redis_server.stop()
