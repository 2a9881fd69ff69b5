"""MCP's official conformance suite: against a server of the SDK, then against the gateway in front of it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import yaml

from tests.conformance.expected import CURRENT, REQUIRED, TASKS, check
from tests.conformance.suite import run
from tests.ports import free_port
from tests.services.conftest import PostgresServer, Store

REPOSITORY = Path(__file__).parents[2]
START_SECONDS = 60.0
STOP_SECONDS = 30


def wait_until_answered(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            if httpx2.get(url).status_code < 500:
                return
        except httpx2.ConnectError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"nothing answers on {url}: {log.read_text()}")


def serve(log: Path, url: str, *arguments: str) -> Iterator[None]:
    """A program of ours, which ends with the tests."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments], cwd=REPOSITORY, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        wait_until_answered(url, process, log)
        yield
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


@pytest.fixture(scope="module")
def fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}/mcp"
    log = tmp_path_factory.mktemp("fixture") / "log"
    for _ in serve(log, url, "tests.conformance.fixture", str(port)):
        yield url


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Where the gateway keeps its tasks."""
    server = PostgresServer()
    yield Store(server, tmp_path_factory.mktemp("store"), "conformance", "gateway").make().migrate()
    server.remove()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, fixture: str, store: Store) -> Iterator[str]:
    port, ops_port = free_port(), free_port()
    folder = tmp_path_factory.mktemp("gateway")
    config = {
        "listen": {"host": "127.0.0.1", "port": port, "ops_port": ops_port},
        "auth": "none",
        "names": "plain",
        "servers": [{"name": "fixture", "urls": [fixture]}],
        # Deadlines that no busy machine misses.
        "upstream": {"list_seconds": 20},
        "postgres": store.settings,
        "tasks": TASKS,
    }
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    ready = f"http://127.0.0.1:{ops_port}/health/ready"
    for _ in serve(folder / "log", ready, "services.gateway", "--config", str(file)):
        yield f"http://127.0.0.1:{port}/mcp"


# With the newer revision the suite waits a minute for the gateway's tasks, which the fixture doesn't have.
# That the fixture has what is called shows at the gateway, too: a scenario that finds nothing isn't met.
DIRECT = [pytest.param(it, marks=pytest.mark.nightly if it == CURRENT else ()) for it in REQUIRED]


@pytest.mark.parametrize("revision", DIRECT)
def test_the_fixture_has_what_the_suite_calls(fixture: str, tmp_path: Path, revision: str) -> None:
    outcome = run(fixture, revision, tmp_path)
    assert not outcome.unmet, outcome.output
    assert (outcome.code, outcome.required) == (0, REQUIRED[revision]), outcome.output


@pytest.mark.parametrize("revision", REQUIRED)
def test_the_gateway_conforms(gateway: str, tmp_path: Path, revision: str) -> None:
    check(revision, run(gateway, revision, tmp_path))
