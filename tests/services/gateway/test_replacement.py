"""Replicas of the gateway are replaced, or killed, under load."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import httpx2
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Gateway, Launcher

CALLERS = 4
LISTENERS = 6


def request(method: str, **params: Any) -> dict[str, Any]:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    headers = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": method,
        **({"Mcp-Name": params["name"]} if "name" in params else {}),
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
    return {"json": body, "headers": headers}


CALL = request("tools/call", name="alpha__slow", arguments={"seconds": 0.1})
LISTEN = request("subscriptions/listen", notifications={"toolsListChanged": True})


@dataclass
class Balanced:
    """Gateways behind a balancer."""

    launcher: Launcher
    config: dict[str, Any]
    file: Path
    gateways: list[Gateway] = field(default_factory=list[Any])
    url: str = ""

    def add(self) -> Gateway:
        gateway = self.launcher.gateway(self.config)
        self.gateways.append(gateway)
        self._publish()
        return gateway

    def remove(self, gateway: Gateway) -> None:
        self.gateways.remove(gateway)
        self._publish()

    def _publish(self) -> None:
        ports = [(urlsplit(it.url).port, urlsplit(it.ops_url).port) for it in self.gateways]
        self.file.with_suffix(".new").write_text(json.dumps(ports))
        self.file.with_suffix(".new").replace(self.file)


@pytest.fixture
def balanced(launcher: Launcher, alpha: str, tmp_path: Path) -> Balanced:
    servers = [{"name": "alpha", "urls": [alpha]}]
    upstream = {"connections_per_server": 100}
    config = {"auth": "none", "servers": servers, "upstream": upstream, "drain_seconds": 8}
    found = Balanced(launcher, config, tmp_path / "backends.json")
    found.add()
    found.add()
    found.url = f"http://127.0.0.1:{launcher.program('balancer', str(found.file))}/mcp"
    return found


@dataclass
class Load:
    """Callers that call without a pause, and listeners that listen again whenever they are sent away."""

    url: str
    done: int = 0
    failures: list[str] = field(default_factory=list[str])
    closed: list[float] = field(default_factory=list[float])
    """When streams ended properly."""
    broken: int = 0
    """Streams that ended otherwise."""
    stopping: bool = False

    async def run(self, drive: Any) -> None:
        """Keep up the load until `drive`, which runs in a thread, is over."""
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await self._succeed(session)
            callers = [asyncio.create_task(self._call(session)) for _ in range(CALLERS)]
            listeners = [asyncio.create_task(self._listen(session)) for _ in range(LISTENERS)]
            try:
                await asyncio.to_thread(drive)
            finally:
                self.stopping = True
                await asyncio.gather(*callers)
                for task in listeners:
                    task.cancel()
                await asyncio.gather(*listeners, return_exceptions=True)

    def go_on(self) -> None:
        """Wait until many more calls have ended, however long this machine takes for them."""
        before, deadline = self.done, time.monotonic() + 60
        while self.done < before + 10 * CALLERS:
            assert time.monotonic() < deadline, (self.done, before)
            time.sleep(0.05)

    async def _succeed(self, session: aiohttp.ClientSession) -> None:
        """Wait until the balancer knows its backends."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                async with session.post(self.url, **CALL) as response:
                    assert response.status == 200
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)
        raise AssertionError("no answer through the balancer")

    async def _call(self, session: aiohttp.ClientSession) -> None:
        while not self.stopping:
            try:
                async with session.post(self.url, **CALL) as response:
                    answer = await response.json()
                    if "result" not in answer:
                        self.failures.append(json.dumps(answer))
            except (aiohttp.ClientError, OSError) as error:
                self.failures.append(f"{type(error).__name__}: {error}")
            self.done += 1
            await asyncio.sleep(random.uniform(0, 0.02))  # noqa: S311 - spreads the calls

    async def _listen(self, session: aiohttp.ClientSession) -> None:
        timeout = aiohttp.ClientTimeout(total=None)
        while True:
            last = b""
            try:
                async with session.post(self.url, timeout=timeout, **LISTEN) as response:
                    async for line in response.content:
                        last = line if line.startswith(b"data: ") else last
            except (aiohttp.ClientError, OSError):
                last = b""
            if b'"result"' in last:
                self.closed.append(time.monotonic())
            else:
                self.broken += 1


def test_replacing_all_replicas_fails_no_call_and_breaks_no_stream(balanced: Balanced) -> None:
    load = Load(balanced.url)
    ended: list[float] = []

    def replace() -> None:
        load.go_on()
        for gateway in list(balanced.gateways):
            balanced.add()
            load.go_on()
            began = time.monotonic()
            gateway.process.popen.send_signal(signal.SIGTERM)
            assert gateway.process.popen.wait(30) == 0
            ended.append(time.monotonic() - began)
            balanced.remove(gateway)
        load.go_on()

    asyncio.run(load.run(replace))
    assert load.failures == []
    assert (load.broken, len(load.closed) >= 1) == (0, True)
    assert max(ended) < balanced.config["drain_seconds"] + 5, "and 5 s for a busy machine"


def test_a_killed_replica_fails_what_it_was_doing_and_nothing_else(balanced: Balanced) -> None:
    load = Load(balanced.url)

    def kill() -> None:
        load.go_on()
        balanced.gateways[0].process.popen.kill()
        balanced.gateways[0].process.popen.wait()
        load.go_on()
        load.go_on()

    asyncio.run(load.run(kill))
    assert 0 < len(load.failures) + load.broken <= CALLERS + LISTENERS
    assert len(load.failures) <= CALLERS, "each caller had one call there, at most"


def test_streams_are_ended_one_after_another(launcher: Launcher, alpha: str) -> None:
    servers = [{"name": "alpha", "urls": [alpha]}]
    gateway = launcher.gateway({"auth": "none", "servers": servers, "drain_seconds": 8})
    ends: list[tuple[float, bytes]] = []

    async def listen(session: aiohttp.ClientSession, ready: asyncio.Semaphore) -> None:
        async with session.post(f"{gateway.url}/mcp", **LISTEN) as response:
            data: list[bytes] = []
            async for line in response.content:
                if line.startswith(b"data: "):
                    data.append(line)
                    ready.release()
            ends.append((time.monotonic(), data[-1]))

    def draining() -> bool:
        return httpx2.get(f"{gateway.ops_url}/health/ready").status_code == 503

    async def drain() -> float:
        ready = asyncio.Semaphore(0)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
            listeners = [asyncio.create_task(listen(session, ready)) for _ in range(40)]
            for _ in listeners:
                await ready.acquire()
            began = time.monotonic()
            gateway.process.popen.send_signal(signal.SIGTERM)
            await asyncio.to_thread(gateway.wait_for, draining, "draining")
            await listen(session, ready)  # who didn't hear is let in for a while, too
            await asyncio.gather(*listeners)
        return began

    began = asyncio.run(drain())
    assert len(ends) == 41
    assert all(b'subscriptionId":1' in data and b'"resultType":"complete"' in data for _, data in ends)
    waits = sorted(end - began for end, _ in ends)
    assert waits[-1] - waits[0] > 1, "they must not all come back at once"
    assert waits[-1] < 8
    assert gateway.process.popen.wait(20) == 0
