"""A small client that keeps calling tools, on any number of gateways, and writes down what became of it."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp

from tests.faults.history import Entry, History, Outcome

PATIENCE_SECONDS = 60.0
"""Whoever waits longer than this hangs."""
PREFIX = "io.modelcontextprotocol/"
META = {f"{PREFIX}protocolVersion": "2026-07-28", f"{PREFIX}clientCapabilities": {}}
ARGUMENT = "text"
"""The tools that are called give back the text that they get."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one worker does: one call after the other."""

    tool: str
    urls: Sequence[str]
    """Gateways, taken in turn."""
    headers: dict[str, str]
    pause: float = 0.005
    """Seconds between an answer and the next call."""


class Load:
    """Runs until the end of its `with` block, in a thread of its own."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        self.history = History()
        self._plans = plans
        self._numbers = itertools.count()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def wait_for(self, count: int, tool: str | None = None, outcome: Outcome = Outcome.OK) -> float:
        """Until so many more calls have ended like this; gives the moment when waiting began."""
        began = time.monotonic()
        while time.monotonic() < began + PATIENCE_SECONDS:
            found = [
                it
                for it in tuple(self.history.entries)
                if it.began >= began and it.outcome is outcome and tool in {None, it.tool}
            ]
            if len(found) >= count:
                return began
            time.sleep(0.02)
        raise AssertionError(f"not {count} calls of {tool} {outcome}: {self.history.since(began).kinds}")

    async def _run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            await asyncio.gather(*(self._work(session, plan) for plan in self._plans))

    async def _work(self, session: aiohttp.ClientSession, plan: Plan) -> None:
        for url in itertools.cycle(plan.urls):
            if self._stop.is_set():
                return
            self.history.entries.append(await call(session, plan, url, next(self._numbers)))
            await asyncio.sleep(plan.pause)


async def call(session: aiohttp.ClientSession, plan: Plan, url: str, number: int) -> Entry:
    """Call the tool once, with an argument of its own."""
    text = f"call {number}"
    params = {"name": plan.tool, "arguments": {ARGUMENT: text}, "_meta": META}
    body = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}
    headers = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": plan.tool,
        **plan.headers,
    }
    began = time.monotonic()
    try:
        async with session.post(f"{url}/mcp", json=body, headers=headers) as response:
            outcome, detail = judge(response.status, await response.text(), number, text)
    except TimeoutError:
        outcome, detail = Outcome.WRONG, "no answer"
    except aiohttp.ClientConnectorError:
        outcome, detail = Outcome.FAIL, "refused"
    except aiohttp.ClientError:
        outcome, detail = Outcome.UNKNOWN, "broken"
    return Entry(url, plan.tool, began, time.monotonic(), outcome, detail)


def judge(status: int, answer: str, number: int, text: str) -> tuple[Outcome, str]:
    """What an answer means for the call with this number and argument."""
    try:
        message: dict[str, Any] = json.loads(_last_event(answer))
        error, result = message.get("error"), message.get("result")
        if result is not None:
            mine = message["id"] == number and result["content"] == [{"type": "text", "text": text}]
            return (Outcome.OK, "") if mine and status == 200 else (Outcome.WRONG, "another's result")
        assert error is not None
        if status == 500 or message["id"] not in {number, None}:
            return Outcome.WRONG, f"HTTP {status} {error}"
        data = error.get("data") or {}
        return Outcome.FAIL, str(data.get("type", status if status != 200 else error["code"]))
    except (ValueError, KeyError, TypeError, AssertionError):
        return Outcome.WRONG, f"HTTP {status} {answer[:200]}"


def _last_event(answer: str) -> str:
    """The JSON of an answer, be it a document or a stream."""
    if answer.startswith(("event:", ":", "data:")):
        return [line for line in answer.splitlines() if line.startswith("data:")][-1].removeprefix("data:")
    return answer
