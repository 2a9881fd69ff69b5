"""The gateway as a process of its own, real servers behind it, and tokens to come in with."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import httpx2
import jwt
import pytest
import redis
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from infra.cluster import packages
from tests.fork_server import REPOSITORY, Forked, ForkServer
from tests.ports import free_port
from tests.services.gateway.caching import Counting, Start

PROGRAMS = Path(__file__).parent / "programs"
ISSUER = "https://issuer.test"
AUDIENCE = "https://gateway.test/mcp"
START_SECONDS = 60.0
PATIENT = {"connect_seconds": 20, "list_seconds": 20, "queue_seconds": 20}
"""Of servers that share the machine with other tests: one that is slow isn't away."""
GATEWAYS = ForkServer("services.gateway.command")
# What the servers of `programs/` and the kit's are made of.
SERVERS = ForkServer("aiohttp", "http.server", "mcp.server.mcpserver", "mcp.server.subscriptions", "uvicorn")


def wait_for(condition: Callable[[], Any], what: str, seconds: float = START_SECONDS) -> Any:
    deadline, pause = time.monotonic() + seconds, 0.005
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(pause)
        pause = min(1.5 * pause, 0.05)  # most comes at once; what doesn't isn't asked for often
    raise AssertionError(f"no {what} within {seconds} s")


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Process:
    """A program that ends with the test."""

    def __init__(self, arguments: list[str], log: Path, environment: dict[str, str] | None = None) -> None:
        self.log = log
        with log.open("wb") as output:
            self.popen = _start(arguments, environment, output)

    def lines(self) -> list[dict[str, Any]]:
        """The JSON lines of its log so far; what an answered request says may still be missing."""
        *texts, _unfinished = self.log.read_text().split("\n")
        return [json.loads(text) for text in texts if text.startswith("{")]

    def stop(self) -> int:
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
        return self.end()

    def end(self) -> int:
        """Wait for its end, not for ever."""
        try:
            return self.popen.wait(60)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            return self.popen.wait()


def _start(
    arguments: list[str], environment: dict[str, str] | None, output: BinaryIO
) -> Forked | subprocess.Popen[bytes]:
    if environment:  # it may be the loader's or the interpreter's, which read theirs before any program
        environment = {**os.environ, **environment}
        command = [sys.executable, *arguments]
        return subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    server = GATEWAYS if arguments[:2] == ["-m", "services.gateway"] else SERVERS
    return server.start(arguments, os.environ, output)


@dataclass
class Gateway:
    process: Process
    url: str
    ops_url: str
    wait_for = staticmethod(wait_for)

    def mcp(self, method: str, params: dict[str, Any] | None = None, **options: Any) -> httpx2.Response:
        """POST a well-formed request of 2026-07-28; options change it."""
        meta = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            **options.get("meta", {}),
        }
        params = {**(params or {}), "_meta": meta}
        named = params.get("name", params.get("uri"))
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": "2026-07-28",
            "Mcp-Method": method,
            **({"Mcp-Name": named} if named else {}),
            **options.get("headers", {}),
        }
        headers = {name: value for name, value in headers.items() if value is not None}
        body = {"jsonrpc": "2.0", "id": options.get("id", 7), "method": method, "params": params}
        return httpx2.post(f"{self.url}/mcp", json=body, headers=headers, timeout=20)

    def post(self, body: str, method: str, name: str) -> httpx2.Response:
        """POST a body of 2026-07-28 as it stands."""
        headers = {"Content-Type": "application/json", "MCP-Protocol-Version": "2026-07-28"}
        headers |= {"Mcp-Method": method, "Mcp-Name": name}
        return httpx2.post(f"{self.url}/mcp", content=body, headers=headers, timeout=20)

    def legacy(self, method: str, params: dict[str, Any] | None = None, **headers: str) -> httpx2.Response:
        headers = {
            "MCP-Protocol-Version": "2025-11-25",
            "Accept": "application/json, text/event-stream",
            **headers,
        }
        body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params or {}}
        return httpx2.post(f"{self.url}/mcp", json=body, headers=headers, timeout=20)

    def log(self) -> str:
        """Its log, in which all that was answered before has its lines: they are written after the answer.

        Certain is that by a later line, of a request for a file, which changes nothing and isn't returned.
        """
        if self.process.popen.poll() is not None:
            return self.process.log.read_text()
        marker = uuid.uuid4().hex
        httpx2.get(f"{self.url}/status.svg", headers={"X-Request-Id": marker}, timeout=20).raise_for_status()
        self.wait_for(lambda: marker in self.process.log.read_text(), "line of a request")
        text, _, _ = self.process.log.read_text().partition(marker)
        return text[: text.rindex("\n") + 1]

    def logged(self, event: str | None = None, /, **fields: Any) -> list[dict[str, Any]]:
        """The lines of its log, as `log` has it, that say this."""
        wanted = fields if event is None else {"event": event, **fields}
        lines = [json.loads(text) for text in self.log().split("\n") if text.startswith("{")]
        return [line for line in lines if wanted.items() <= line.items()]

    def metric(self, line: str) -> float:
        """The value of the series that is written exactly so.

        The loop that answers requests tells it: whatever was answered before is counted.
        """
        for text in httpx2.get(f"{self.ops_url}/metrics", timeout=20).text.splitlines():
            name, _, value = text.rpartition(" ")
            if name == line:
                return float(value)
        return 0.0


@dataclass
class Launcher:
    """Starts programs; ends them all."""

    folder: Path
    processes: list[Process] = field(default_factory=list[Process])
    free_port = staticmethod(free_port)

    def program(self, name: str, *arguments: str) -> int:
        """Start one of `programs/` with its last positional argument being a port; returns the port."""
        port = free_port()
        first, rest = arguments[:1], arguments[1:]
        self.restart(name, *first, port, *rest)
        return port

    def restart(self, name: str, *arguments: Any) -> None:
        """Start one of `programs/` on a port that is among its arguments."""
        port = next(it for it in arguments if isinstance(it, int))
        log = self.folder / f"{name}-{port}.log"
        self.processes.append(Process([str(PROGRAMS / f"{name}.py"), *map(str, arguments)], log))
        wait_for(lambda: accepts(port), f"{name} on its port")

    def server(self, module: str, **environment: str) -> str:
        """Start a server of the kit; returns its URL."""
        log = self.folder / f"{module}-{len(self.processes)}.log"
        environment = {"HOST": "127.0.0.1", "PORT": "0", "OPS_PORT": "0", **environment}
        process = Process(["-m", f"services.servers.{module}"], log, environment)
        self.processes.append(process)
        return f"http://127.0.0.1:{self._listening(process)['port']}/mcp"

    def gateway(
        self,
        config: dict[str, Any],
        *,
        wait: bool = True,
        program: tuple[str, ...] = ("-m", "services.gateway"),
        **environment: str,
    ) -> Gateway:
        """Start one; what the configuration doesn't say is as usual, but that a busy machine is no fault."""
        file = self.folder / f"gateway-{len(self.processes)}.yaml"
        listen = {"host": "127.0.0.1", "port": 0, "ops_port": 0}
        # A loop that is late because tests share the machine is no overload.
        overload = {"in_flight": 4000}
        upstream = {**PATIENT, **config.get("upstream", {})}
        settings = {"listen": listen, "overload": overload, **config, "upstream": upstream}
        file.write_text(yaml.safe_dump(settings))
        process = Process([*program, "--config", str(file)], file.with_suffix(".log"), environment)
        self.processes.append(process)
        line = self._listening(process)
        gateway = Gateway(process, f"http://127.0.0.1:{line['port']}", f"http://127.0.0.1:{line['ops_port']}")
        if wait:
            wait_for(lambda: httpx2.get(f"{gateway.ops_url}/health/ready").status_code == 200, "readiness")
        return gateway

    def _listening(self, process: Process) -> dict[str, Any]:
        def find() -> dict[str, Any] | None:
            assert process.popen.poll() is None, process.log.read_text()
            return next((line for line in process.lines() if line["event"] == "listening"), None)

        return wait_for(find, "program on its port")

    def shifty(self) -> "Shifty":
        return Shifty(self)

    def stop(self) -> None:
        """End all at once: how a gateway ends properly has tests of its own."""
        for process in self.processes:
            process.popen.kill()
        for process in self.processes:
            process.popen.wait()


class Shifty:
    """A server that becomes what it is told to be, while it runs: `programs/shifty_server.py`."""

    def __init__(self, launcher: Launcher) -> None:
        self._origin = f"http://127.0.0.1:{launcher.program('shifty_server')}"
        self.url = f"{self._origin}/mcp"
        self.state: dict[str, Any] = {}

    @staticmethod
    def tool(name: str, **fields: Any) -> dict[str, Any]:
        return {"name": name, "description": f"Does {name}.", "inputSchema": {"type": "object"}, **fields}

    def become(self, **state: Any) -> None:
        """Be this, and nothing of before."""
        self.state = state
        httpx2.put(f"{self._origin}/state", content=json.dumps(state))

    def change(self, **state: Any) -> None:
        """Be this, and the rest of before."""
        self.become(**{**self.state, **state})

    @property
    def seen(self) -> list[str]:
        """What it was asked since."""
        return httpx2.get(f"{self._origin}/seen").json()


@pytest.fixture
def shifty(launcher: Launcher) -> Shifty:
    return launcher.shifty()


class RedisServer:
    """A Redis (or Valkey) of Debian's, that can stop, hang and come back."""

    PASSWORD = "correct horse"
    wait_for = staticmethod(wait_for)

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.password_file = folder / "redis-password"
        self.password_file.write_text(f"{self.PASSWORD}\n")
        self.settings = {"host": "127.0.0.1", "port": self.port, "password_file": str(self.password_file)}
        self._folder = folder
        self.log = folder / "redis.log"
        self.start()

    @property
    def patient_settings(self) -> dict[str, Any]:
        """For tests in which it is never away: a busy machine may keep a request waiting for it."""
        return {**self.settings, "timeout_seconds": 20, "wait_seconds": 20}

    def start(self) -> None:
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)]
        arguments += ["--save", "", "--requirepass", self.PASSWORD]
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen([redis_program(), *arguments], stdout=log, stderr=log)
        wait_for(lambda: accepts(self.port), "redis on its port")

    def stop(self) -> None:
        self._popen.kill()
        self._popen.wait()

    def hang(self) -> None:
        self._popen.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._popen.send_signal(signal.SIGCONT)

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, password=self.PASSWORD)


def redis_program() -> str:
    """Its path; installed where it is missing and we may."""
    valkey = shutil.which("valkey-server")
    if valkey is not None:
        return valkey
    packages.ensure({"redis-server": ["redis-server"]}, print, "this test")
    return "redis-server"


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Launcher]:
    found = Launcher(tmp_path)
    yield found
    found.stop()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    """For what the tests of one file share: nothing of it goes on beside the next file's tests."""
    found = Launcher(tmp_path_factory.mktemp("shared"))
    yield found
    found.stop()


@pytest.fixture(scope="session")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    found = Launcher(tmp_path_factory.mktemp("lasting"))
    yield found
    found.stop()


@pytest.fixture(scope="session")
def alpha(lasting: Launcher) -> str:
    return f"http://127.0.0.1:{lasting.program('mcp_server', 'alpha')}/mcp"


@pytest.fixture(scope="session")
def beta(lasting: Launcher) -> list[str]:
    ports = [lasting.program("mcp_server", "beta", "stream"), lasting.program("mcp_server", "beta", "stream")]
    return [f"http://127.0.0.1:{port}/mcp" for port in ports]


@pytest.fixture(scope="session")
def odd(lasting: Launcher) -> str:
    return f"http://127.0.0.1:{lasting.program('odd_server')}/mcp"


@pytest.fixture(scope="session")
def gateway(lasting: Launcher, alpha: str, beta: list[str], odd: str) -> Gateway:
    """Open on loopback, in front of three servers."""
    servers = [
        {"name": "alpha", "urls": [alpha]},
        {"name": "beta", "urls": beta},
        {"name": "odd", "urls": [odd]},
    ]
    # Deadlines that no busy machine misses; tests of deadlines have a gateway of their own.
    upstream = {"timeout_seconds": 20, "list_seconds": 20, "max_response_bytes": 1_000_000}
    return lasting.gateway({"auth": "none", "servers": servers, "upstream": upstream})


class Tokens:
    """An issuer: its key, and tokens as they should be or not."""

    def __init__(self, folder: Path) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.public = self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.file = folder / "issuer.pem"
        self.file.write_bytes(self.public)
        self.auth = {"audience": AUDIENCE, "issuers": [{"issuer": ISSUER, "public_key_file": str(self.file)}]}

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "iat": now, "exp": now + 300}
        claims = {**good, "scope": "mcp:read mcp:call", **changes}
        return {name: value for name, value in claims.items() if value is not None}

    def make(self, **changes: Any) -> str:
        return jwt.encode(self.claims(**changes), self.key, "ES256")


@pytest.fixture(scope="session")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    return Tokens(tmp_path_factory.mktemp("issuer"))


@pytest.fixture(scope="session")
def guarded(lasting: Launcher, alpha: str, odd: str, tokens: Tokens) -> Gateway:
    """Lets in who has a token."""
    servers = [{"name": "alpha", "urls": [alpha]}, {"name": "odd", "urls": [odd]}]
    return lasting.gateway({"auth": tokens.auth, "servers": servers, "upstream": {"list_seconds": 20}})


@pytest.fixture
def counting(launcher: Launcher) -> Counting:
    return Counting(f"http://127.0.0.1:{launcher.program('counting_server')}")


@pytest.fixture
def start(launcher: Launcher, counting: Counting) -> Start:
    """A gateway in front of `counting`, that notices its changes soon."""

    def begin(*rules: dict[str, Any], cache: dict[str, Any] | None = None, **config: Any) -> Gateway:
        servers = [{"name": "counting", "urls": [f"{counting.url}/mcp"]}]
        upstream = {"list_seconds": 20, "probe_seconds": 0.3, **config.pop("upstream", {})}
        kept = {"tools": list(rules), **(cache or {})}
        return launcher.gateway(
            {
                "auth": "none",
                # Whether a tool is destructive is in its server's list, which would be asked for first.
                "approval": {"by_annotation": "off"},
                "servers": servers,
                "upstream": upstream,
                "cache": kept,
                **config,
            }
        )

    return begin
