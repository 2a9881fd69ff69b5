"""Clients that listen, servers that change, and gateways between them."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import httpx2
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.services.gateway.conftest import Gateway, Launcher

GATEWAY = ("-m", "services.gateway")
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"
ALL_LISTS = {"toolsListChanged": True, "promptsListChanged": True, "resourcesListChanged": True}


def request(wanted: Any, *, token: str | None = None, id_: Any = 7) -> dict[str, Any]:
    """What httpx2's `stream` and `post` take besides the URL."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"_meta": meta, "notifications": wanted}
    headers = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "subscriptions/listen",
        **({"Authorization": f"Bearer {token}"} if token else {}),
    }
    body = {"jsonrpc": "2.0", "id": id_, "method": "subscriptions/listen", "params": params}
    return {"json": body, "headers": headers}


def short(message: dict[str, Any]) -> str:
    """A notification as a word: "tools", or a resource's URI."""
    if message["method"] == "notifications/resources/updated":
        return message["params"]["uri"]
    return message["method"].split("/")[1]


class Listener:
    """A client on a thread of its own that keeps all that comes; begins when its stream is acknowledged."""

    request = staticmethod(request)
    short = staticmethod(short)

    def __init__(
        self, gateway: Gateway, wanted: dict[str, Any], *, token: str | None = None, id_: Any = 7
    ) -> None:
        self._url = f"{gateway.url}/mcp"
        self._method = "POST"
        self._wait_for = gateway.wait_for
        self._request = request(wanted, token=token, id_=id_)
        self.client = httpx2.Client(timeout=httpx2.Timeout(20, read=None))
        self.headers: dict[str, str] = {}
        self.messages: list[dict[str, Any]] = []
        self.comments = 0
        self.finished = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._wait_for(lambda: self.messages or self.finished.is_set(), "acknowledgement")
        assert self.messages[0]["method"] == "notifications/subscriptions/acknowledged"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Closing a socket doesn't wake who reads from it: it would be open until the next sign of life.
        with contextlib.suppress(OSError):
            self._response.extensions["network_stream"].get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        self._thread.join(30)
        self.client.close()

    def _read(self) -> None:
        try:
            with self.client.stream(self._method, self._url, **self._request) as response:
                self._response = response
                self.headers = dict(response.headers)
                for line in response.iter_lines():
                    if line.startswith("data: "):
                        self.messages.append(json.loads(line[6:]))
                    elif line.startswith(":"):
                        self.comments += 1
        except (httpx2.HTTPError, httpx2.StreamError, OSError):
            self.broken = True
        finally:
            self.finished.set()

    broken = False
    """Whether the connection ended before the response did."""

    @property
    def honored(self) -> dict[str, Any]:
        """What was acknowledged."""
        return self.messages[0]["params"]["notifications"]

    @property
    def told(self) -> list[str]:
        """The lists and resources that were told of."""
        return [short(message) for message in self.messages[1:] if "method" in message]

    def hear(self, *told: str) -> None:
        """Wait until all of this was told."""
        self._wait_for(lambda: set(told) <= set(self.told), f"{told} in {self.told}")

    def expect(self, *told: str) -> None:
        """Wait until all of this was told, and find that nothing else was."""
        self.hear(*told)
        assert sorted(self.told) == sorted(told)

    def forget(self) -> None:
        """Begin anew with what is told."""
        del self.messages[1:]

    def expect_end(self) -> dict[str, Any]:
        """Wait for the proper end; returns the result."""
        assert self.finished.wait(30)
        assert not self.broken
        return self.messages[-1]["result"]


@pytest.fixture(scope="session")
def listening() -> type[Listener]:
    return Listener


class ChangingServer:
    """A server that tells of what it is told."""

    def __init__(self, launcher: Launcher, name: str, *options: str) -> None:
        self._launcher, self._arguments = launcher, options
        self.name = name
        self.port = launcher.program("changing_server", name, *options)
        self.process = launcher.processes[-1].popen
        self.url = f"http://127.0.0.1:{self.port}"

    def change(self, *events: str) -> None:
        httpx2.post(f"{self.url}/change", json=events).raise_for_status()

    def asked(self) -> list[dict[str, Any]]:
        """The filters that it was asked to listen by."""
        return httpx2.get(f"{self.url}/asked").json()

    def streams(self) -> int:
        """How many are open."""
        return httpx2.get(f"{self.url}/open").json()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        """Kill it, and start it anew on its port."""
        self.kill()
        self._launcher.restart("changing_server", self.name, self.port, *self._arguments)
        self.process = self._launcher.processes[-1].popen


@pytest.fixture
def changing(launcher: Launcher) -> Callable[..., ChangingServer]:
    """Starts a server by its name."""
    return partial(ChangingServer, launcher)


@pytest.fixture(scope="session")
def alpha(lasting: Launcher) -> ChangingServer:
    return ChangingServer(lasting, "alpha")


@pytest.fixture(scope="session")
def alpha_too(lasting: Launcher) -> ChangingServer:
    """Another endpoint of the same server, which shares nothing with the first."""
    return ChangingServer(lasting, "alpha")


@pytest.fixture(scope="session")
def beta(lasting: Launcher) -> ChangingServer:
    return ChangingServer(lasting, "beta")


@pytest.fixture
def before(launcher: Launcher) -> Callable[..., Gateway]:
    """Starts a gateway before servers; further settings are the gateway's."""

    return partial(start, launcher)


@pytest.fixture(scope="session")
def gateway(lasting: Launcher, alpha: ChangingServer, beta: ChangingServer) -> Gateway:
    return start(lasting, alpha, beta, subscriptions={"keep_alive_seconds": 1})


def start(
    launcher: Launcher, *servers: ChangingServer, program: tuple[str, ...] = GATEWAY, **config: Any
) -> Gateway:
    urls: dict[str, list[str]] = {}
    for server in servers:
        urls.setdefault(server.name, []).append(f"{server.url}/mcp")
    listed = [{"name": name, "urls": found} for name, found in urls.items()]
    return launcher.gateway({"auth": "none", "servers": listed, **config}, program=program)
