"""The gateway as the official MCP client sees it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import httpx2
from mcp import Client
from mcp.client.session import ElicitationFnT
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import MISSING_REQUIRED_CLIENT_CAPABILITY, Tool

from cli.console import err
from infra.errors import PlatformError
from services.kit.conventions import ALL_TOOLS_META, MCP_PATH, MISSING_SERVERS_META

T = TypeVar("T")

REQUEST_SECONDS = 60.0


@asynccontextmanager
async def connect(
    url: str, token: str, *, mode: str = "auto", ask: ElicitationFnT | None = None
) -> AsyncGenerator[Client]:
    """A client of the gateway at `url` (without path) that presents `token`.

    `mode` is "auto" (2026-07-28) or "legacy" (2025-11-25); `ask` answers what servers ask for.
    """
    headers = {"Authorization": f"Bearer {token}"}
    # The token goes to this one origin only: no redirects, no proxy from the environment.
    async with httpx2.AsyncClient(headers=headers, timeout=REQUEST_SECONDS, trust_env=False) as http:
        transport = streamable_http_client(f"{url}{MCP_PATH}", http_client=http)
        async with Client(transport, mode=mode, elicitation_callback=ask) as client:
            yield client


async def list_tools(client: Client) -> list[Tool]:
    """Every tool, also such as else must be searched for; servers that did not answer are named on stderr."""
    tools: list[Tool] = []
    cursor: str | None = None
    while True:
        page = await client.list_tools(cursor=cursor, meta={ALL_TOOLS_META: True})
        tools += page.tools
        for server, why in (page.meta or {}).get(MISSING_SERVERS_META, {}).items():
            err.print(f"server {server} is missing: {why}", markup=False)
        if not page.next_cursor:
            return tools
        cursor = page.next_cursor


class NotReachedError(PlatformError):
    """Nothing answers at the gateway's address."""


def run(
    url: str,
    token: str,
    action: Callable[[Client], Awaitable[T]],
    *,
    patience: float = 0,
    ask: ElicitationFnT | None = None,
) -> T:
    """Do one thing as a client of the gateway.

    Args:
        url: The gateway, without path.
        token: A bearer token.
        action: What to do.
        patience: Seconds to go on trying while nothing answers: the cluster's network follows a new pod
            a moment after it is ready, and nothing tells when.
        ask: Answers what the gateway or a server asks for in the middle of a call.

    Raises:
        NotReachedError: The gateway is not reached.
        PlatformError: It refuses the token, or answers with a protocol error.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            return _once(url, token, action, ask)
        except NotReachedError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.5)


def _once(url: str, token: str, action: Callable[[Client], Awaitable[T]], ask: ElicitationFnT | None) -> T:

    async def connected() -> T:
        async with connect(url, token, ask=ask) as client:
            return await action(client)

    try:
        return asyncio.run(connected())
    except* MCPError as group:
        raise PlatformError(f"the gateway at {url} answered: {_first(group)}", hint=_hint(group)) from None
    except* (OSError, httpx2.HTTPError) as group:
        raise NotReachedError(
            f"the gateway at {url} does not answer: {_first(group) or type(_leaf(group)).__name__}",
            hint="is the stack up? mcpctl status shows it, mcpctl up brings it up",
        ) from None


def _hint(group: BaseExceptionGroup[MCPError]) -> str:
    error = _leaf(group)
    unable = isinstance(error, MCPError) and error.code == MISSING_REQUIRED_CLIENT_CAPABILITY
    return "call it on a terminal, or say --approve" if unable else ""


def _leaf(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _leaf(first) if isinstance(first, BaseExceptionGroup) else first


def _first(group: BaseExceptionGroup[BaseException]) -> str:
    return str(_leaf(group))
