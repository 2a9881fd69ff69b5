"""Discovery against a small HTTP server that lists and watches as the Kubernetes API does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter

from services.gateway.config import KubernetesDiscovery as Settings
from services.gateway.discovery import kubernetes
from services.gateway.discovery.introduction import introduce, probing_session
from services.gateway.discovery.kubernetes import KubernetesDiscovery
from services.gateway.fleet import Fleet

LABEL = "mcp-platform.dev/server"
PATH = "/apis/discovery.k8s.io/v1/namespaces/mcp-test/endpointslices"


class Api:
    """The API server: objects, a version that counts up, and watchers."""

    def __init__(self) -> None:
        self.version = 100
        self.objects: dict[str, dict[str, Any]] = {}
        self.watchers: list[asyncio.Queue[dict[str, Any] | None]] = []
        self.watched_from: list[int] = []
        self.token = "first"
        self.lists = 0
        self.broken = False
        self.oldest = 0

    def put(self, name: str, *addresses: str, kind: str = "MODIFIED", **conditions: bool) -> None:
        self.version += 1
        self.objects[name] = {
            "metadata": {
                "name": name,
                "labels": {LABEL: name, "kubernetes.io/service-name": name},
                "resourceVersion": str(self.version),
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address], "conditions": conditions} for address in addresses],
            "ports": [{"name": "mcp", "port": 8080}],
        }
        self.send({"type": kind, "object": self.objects[name]})

    def delete(self, name: str) -> None:
        self.version += 1
        gone = self.objects.pop(name)
        gone["metadata"]["resourceVersion"] = str(self.version)
        self.send({"type": "DELETED", "object": gone})

    def send(self, event: dict[str, Any] | None) -> None:
        for watcher in self.watchers:
            watcher.put_nowait(event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if self.broken:
            return web.Response(status=503, text="away")
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=401, text="who are you?")
        assert request.query["labelSelector"] == LABEL
        if "watch" in request.query:
            return await self.watch(request)
        self.lists += 1
        names = sorted(self.objects)
        start = int(request.query.get("continue", 0))
        following = {"continue": str(start + 1)} if start + 1 < len(names) else {}
        items = [self.objects[name] for name in names[start : start + 1]]
        return web.json_response(
            {"metadata": {"resourceVersion": str(self.version), **following}, "items": items}
        )

    async def watch(self, request: web.Request) -> web.StreamResponse:
        version = int(request.query["resourceVersion"])
        self.watched_from.append(version)
        response = web.StreamResponse()
        await response.prepare(request)
        if version < self.oldest:
            gone = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}}
            await response.write(json.dumps(gone).encode() + b"\n")
            return response
        queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self.watchers.append(queue)
        try:
            while event := await queue.get():
                data = json.dumps(event).encode() + b"\n"
                await response.write(data[:10])  # lines come in pieces
                await response.write(data[10:])
        finally:
            self.watchers.remove(queue)
        return response


class Running:
    """Discovery at work, and what it found."""

    def __init__(
        self, api: Api, fleet: Fleet, discovery: KubernetesDiscovery, token_file: Path, errors: Counter
    ) -> None:
        self.api, self.fleet, self.discovery, self.token_file = api, fleet, discovery, token_file
        self.errors = errors

    def found(self) -> dict[str, list[str]]:
        servers = self.fleet.servers.items()
        return {name: [url.split("/")[2] for url in server.endpoints] for name, server in servers}

    def failures(self) -> float:
        (metric,) = self.errors.collect()
        return metric.samples[0].value

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 - what is waited for raises no event
                await asyncio.sleep(0.01)


@asynccontextmanager
async def running(folder: Path, **options: Any) -> AsyncGenerator[Running]:
    api = Api()
    app = web.Application()
    app.router.add_get(PATH, api.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    token_file = folder / "token"
    token_file.write_text("first\n")
    host, port = runner.addresses[0][:2]
    url = f"http://{host}:{port}"
    settings = Settings(namespace="mcp-test", api_url=url, token_file=token_file, **options)
    fleet = Fleet(10)
    errors = Counter("errors", "errors", registry=CollectorRegistry())
    discovery = KubernetesDiscovery(settings, fleet, errors)
    task = asyncio.create_task(discovery.run())
    try:
        yield Running(api, fleet, discovery, token_file, errors)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        api.send(None)
        await runner.cleanup()


def discover(folder: Path, scenario: Callable[[Running], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        async with running(folder, **options) as it:
            await scenario(it)

    asyncio.run(run())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes, "BACKOFF_SECONDS", (0.02, 0.1))


def test_servers_appear_change_and_go(tmp_path: Path) -> None:
    async def scenario(it: Running) -> None:
        assert it.discovery.problem()
        it.api.put("files", "10.0.0.1")
        it.api.put("other", "10.0.0.9")
        await it.until(lambda: it.discovery.problem() is None and it.api.watchers)
        assert it.found() == {"files": ["10.0.0.1:8080"], "other": ["10.0.0.9:8080"]}
        it.api.put("new", "10.0.0.2", kind="ADDED")
        await it.until(lambda: "new" in it.found())
        it.api.put("new", "10.0.0.2", "10.0.0.3")
        await it.until(lambda: len(it.found()["new"]) == 2)
        it.api.put("new", "10.0.0.2", ready=False)
        await it.until(lambda: it.found()["new"] == [])
        it.api.delete("new")
        await it.until(lambda: "new" not in it.found())
        assert it.api.lists == 2  # one list, of two pages

    discover(tmp_path, scenario)


def test_only_one_server_is_found_where_that_is_set(tmp_path: Path) -> None:
    async def scenario(it: Running) -> None:
        it.api.put("files", "10.0.0.1")
        it.api.put("other", "10.0.0.9")
        await it.until(lambda: it.discovery.problem() is None and it.api.watchers)
        assert it.found() == {"files": ["10.0.0.1:8080"]}
        it.api.delete("files")
        await it.until(lambda: not it.found())

    discover(tmp_path, scenario, only="files")


def test_servers_are_asked_at_their_services_where_that_is_set(tmp_path: Path) -> None:
    async def scenario(it: Running) -> None:
        it.api.put("files", "10.0.0.1", "10.0.0.2")
        await it.until(lambda: it.found() == {"files": ["files.mcp-test.svc:8080"]})
        it.api.put("files", "10.0.0.1", ready=False)
        await it.until(lambda: it.found() == {"files": []})

    discover(tmp_path, scenario, address="services")


def test_what_tells_replicas_apart_is_not_sent() -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.raw_path)
        return web.json_response({"jsonrpc": "2.0", "id": 0, "result": {}})

    async def run() -> None:
        app = web.Application()
        app.router.add_post("/mcp", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with probing_session(5) as session:
            await introduce(session, f"http://127.0.0.1:{runner.addresses[0][1]}/mcp#0123456789abcdef")
        await runner.cleanup()

    asyncio.run(run())
    assert asked == ["/mcp"]


def test_a_watch_that_ends_goes_on_where_it_was(tmp_path: Path) -> None:
    async def scenario(it: Running) -> None:
        it.api.put("files", "10.0.0.1")
        await it.until(lambda: it.api.watchers)
        it.api.put("files", "10.0.0.2")
        it.api.send({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "150"}}})
        it.api.send(None)
        await it.until(lambda: len(it.api.watched_from) == 2)
        assert it.api.watched_from[1] == 150
        assert it.api.lists == 1

    discover(tmp_path, scenario)


def test_a_version_that_is_too_old_means_a_new_list(tmp_path: Path) -> None:
    async def scenario(it: Running) -> None:
        it.api.put("files", "10.0.0.1")
        await it.until(lambda: it.api.watchers)
        it.api.objects.clear()
        it.api.put("other", "10.0.0.5")
        it.api.version = 2000
        it.api.oldest = 1000
        it.api.send(None)
        await it.until(lambda: list(it.found()) == ["other"] and it.api.lists == 2)

    discover(tmp_path, scenario)


def test_while_the_api_is_away_what_was_known_stays(tmp_path: Path) -> None:
    async def scenario(it: Running) -> None:
        it.api.put("files", "10.0.0.1")
        await it.until(lambda: it.api.watchers)
        it.api.broken = True
        it.api.send(None)
        await it.until(lambda: it.failures() >= 3)
        assert it.found() == {"files": ["10.0.0.1:8080"]}
        assert it.discovery.problem() is None
        it.api.broken = False
        await it.until(lambda: it.api.watchers)
        it.api.put("files", "10.0.0.2")
        await it.until(lambda: it.found() == {"files": ["10.0.0.2:8080"]})

    discover(tmp_path, scenario)


def test_a_new_token_is_read(tmp_path: Path) -> None:
    async def scenario(it: Running) -> None:
        it.api.put("files", "10.0.0.1")
        it.api.token = "second"
        await it.until(lambda: it.failures() >= 1)
        assert it.discovery.problem() == "the Kubernetes API hasn't answered yet"
        it.token_file.write_text("second")
        await it.until(lambda: "files" in it.found())

    discover(tmp_path, scenario)
