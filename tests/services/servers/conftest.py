"""Servers to test: real processes on loopback ports, and a file server with secrets beside its folder."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp_types import CallToolResult

from services.kit.health import Health
from services.servers.filesystem import resolve
from services.servers.filesystem.server import build
from services.servers.filesystem.settings import FilesystemSettings

REPOSITORY = Path(__file__).parents[3]
START_SECONDS = 60


@dataclass
class Running:
    """A server process and what it has logged."""

    process: subprocess.Popen[str]
    lines: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    listening: threading.Event = field(default_factory=threading.Event)

    def collect(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(json.loads(line))
            if self.lines[-1]["event"] == "listening":
                self.listening.set()
        self.listening.set()

    def wait_until_listening(self) -> None:
        assert self.listening.wait(START_SECONDS), "the server did not start in time"
        assert self.process.poll() is None, self.lines

    def wait_for(self, condition: Callable[[], Any], what: str) -> Any:
        """What `condition` gives at last; lines come a little after what they tell of."""
        deadline = time.monotonic() + START_SECONDS
        while not (found := condition()):
            assert time.monotonic() < deadline, (what, self.lines)
            time.sleep(0.02)
        return found

    @property
    def started(self) -> dict[str, Any]:
        return next(line for line in self.lines if line["event"] == "listening")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.started['port']}/mcp"

    @property
    def ops_url(self) -> str:
        return f"http://127.0.0.1:{self.started['ops_port']}"


StartServer = Callable[..., Running]


@contextmanager
def running(name: str, **environment: str) -> Generator[Running]:
    with subprocess.Popen(
        [sys.executable, "-m", f"services.servers.{name}"],
        cwd=REPOSITORY,
        env=os.environ | {"HOST": "127.0.0.1", "PORT": "0", "OPS_PORT": "0"} | environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        server = Running(process)
        collector = threading.Thread(target=server.collect)
        collector.start()
        try:
            server.wait_until_listening()
            yield server
        finally:
            process.kill()
            process.wait()
            collector.join()


@pytest.fixture
def start_server() -> Generator[StartServer]:
    with ExitStack() as stack:

        def start(name: str, **environment: str) -> Running:
            return stack.enter_context(running(name, **environment))

        yield start


@pytest.fixture(scope="session")
def echo_server() -> Generator[Running]:
    with running("echo") as server:
        yield server


@dataclass(frozen=True)
class Files:
    """A filesystem server in this process, its folder, and the secret beside it."""

    root: Path
    outside: Path
    settings: FilesystemSettings
    connect: Callable[[], Client]

    def call(self, tool: str, /, **arguments: Any) -> CallToolResult:
        async def go() -> CallToolResult:
            async with self.connect() as client:
                result = await client.call_tool(tool, arguments)
                assert isinstance(result, CallToolResult)
                return result

        return asyncio.run(go())

    def ok(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        result = self.call(tool, **arguments)
        assert not result.is_error, error_of(result)
        assert result.structured_content is not None
        return result.structured_content

    def error(self, tool: str, /, **arguments: Any) -> str:
        return error_of(self.call(tool, **arguments))


def error_of(result: CallToolResult) -> str:
    assert result.is_error
    (block,) = result.content
    assert block.type == "text"
    return block.text


MakeFiles = Callable[..., Files]


@pytest.fixture
def make_files(tmp_path: Path) -> Generator[MakeFiles]:
    """Make a server over `tmp_path/data` (or the given roots) with the given settings."""
    root = tmp_path / "data"
    outside = tmp_path / "outside"
    for folder in (root / "sub", outside / "sub", tmp_path / "data-evil"):
        folder.mkdir(parents=True)
        (folder / "file.txt").write_text("harmless\n" if folder.is_relative_to(root) else "SECRET\n")
    (root / "file.txt").write_text("harmless\n")
    (outside / "file.txt").write_text("SECRET\n")

    with ExitStack() as stack:

        def make(**settings: Any) -> Files:
            chosen = FilesystemSettings.model_validate({"filesystem_roots": (str(root),), **settings})
            server = build(chosen, Health())
            stack.callback(server.close)
            return Files(root, outside, chosen, lambda: Client(server))

        yield make


@pytest.fixture
def files(make_files: MakeFiles) -> Files:
    return make_files()


@pytest.fixture(params=["kernel", "component"])
def resolver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the test once with openat2(2) and once as on a kernel without it."""
    if request.param == "component":
        monkeypatch.setattr(resolve, "kernel_resolves", lambda: False)
    elif not resolve.kernel_resolves():
        pytest.skip("this kernel has no openat2(2)")
    return request.param
