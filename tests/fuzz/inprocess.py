"""The gateway's ASGI app within the test's process: the quickest way to ask it very many things."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry

from services.gateway.app import GatewayApp
from services.gateway.config import GatewayConfig
from services.kit.health import OK, Health

HeaderLines = Sequence[tuple[bytes, bytes]]
ANSWER_SECONDS = 60


@dataclass(frozen=True)
class Answered:
    status: int
    headers: dict[str, str]
    body: bytes


class InProcess:
    """One app and its event loop; `log` is where its lines go."""

    def __init__(self, config: dict[str, Any], log: io.StringIO) -> None:
        self._log = log
        self._runner = asyncio.Runner()
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._answers: asyncio.Queue[Any] = asyncio.Queue()
        health = Health()
        self._app = GatewayApp(GatewayConfig(**config), health, CollectorRegistry())
        self._runner.run(self._start())
        while self._runner.run(health.run_checks())["discovery"] != OK:
            pass

    def ask(self, method: str, path: str, headers: HeaderLines, body: bytes, *, chunks: int = 1) -> Answered:
        """One request, its body in so many pieces; a defect that is only in the log fails here, too."""
        answered = self._runner.run(self._ask(method, path, headers, body, chunks))
        log = self._log.getvalue()
        self._log.seek(0)
        self._log.truncate()
        assert '"level":"error"' not in log, log
        return answered

    def close(self) -> None:
        self._runner.run(self._stop())
        self._runner.close()

    async def _start(self) -> None:
        receive, send = self._events.get, self._answers.put
        self._lifespan = asyncio.create_task(self._app({"type": "lifespan"}, receive, send))
        await self._events.put({"type": "lifespan.startup"})
        assert (await self._answers.get())["type"] == "lifespan.startup.complete"

    async def _stop(self) -> None:
        await self._events.put({"type": "lifespan.shutdown"})
        await self._lifespan

    async def _ask(self, method: str, path: str, headers: HeaderLines, body: bytes, chunks: int) -> Answered:
        size = -(-len(body) // chunks) or 1
        pieces = [body[start : start + size] for start in range(0, len(body), size)] or [b""]
        events = [
            {"type": "http.request", "body": piece, "more_body": number < len(pieces)}
            for number, piece in enumerate(pieces, 1)
        ]
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            if events:
                return events.pop(0)
            return await asyncio.Event().wait() and {}

        async def send(event: Any) -> None:
            sent.append(event)

        scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers}
        async with asyncio.timeout(ANSWER_SECONDS):
            await self._app(scope, receive, send)
        start, *rest = sent
        assert start["type"] == "http.response.start"
        assert [event.get("more_body", False) for event in rest][-1:] == [False]
        found = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in start["headers"]}
        return Answered(start["status"], found, b"".join(event.get("body", b"") for event in rest))
