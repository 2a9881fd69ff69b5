"""What tests of the response cache share: the server behind, and what to ask the gateway in front of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

import httpx2
import redis

if TYPE_CHECKING:
    from conftest import Gateway, Tokens

VERSION = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"

KEPT = {"match": "counting__*"}
"""A rule for all of the server's tools: kept for long, for each principal."""


@dataclass
class Counting:
    """The server: `programs/counting_server.py`."""

    url: str

    def asked(self) -> list[list[Any]]:
        return httpx2.get(f"{self.url}/asked").json()

    def set(self, **settings: Any) -> None:
        httpx2.post(f"{self.url}/set", json=settings).raise_for_status()

    def go(self) -> None:
        httpx2.post(f"{self.url}/go").raise_for_status()


class Start(Protocol):
    """Starts a gateway in front of the server."""

    def __call__(self, *rules: dict[str, Any], cache: dict[str, Any] | None = None, **config: Any) -> Gateway:
        """With these rules for tools, other settings of the cache, and of the rest."""
        ...


class HasClient(Protocol):
    """A Redis server."""

    def client(self) -> redis.Redis: ...


def call(gateway: Gateway, tool: str = "count", arguments: Any = None, **options: Any) -> Any:
    """The text of the result, which begins with the server's counter; or the error."""
    params = {"name": f"counting__{tool}", **options.pop("params", {})}
    if arguments is not None:
        params["arguments"] = arguments
    body = gateway.mcp("tools/call", params, **options).json()
    return body["result"]["content"][0]["text"] if "result" in body else body["error"]


def calls_at_once(number: int, ask: Callable[[int], Any]) -> tuple[list[Future[Any]], ThreadPoolExecutor]:
    """Make calls that need an end from elsewhere."""
    pool = ThreadPoolExecutor(number)
    return [pool.submit(ask, index) for index in range(number)], pool


def listed(gateway: Gateway, **options: Any) -> Any:
    return gateway.mcp("tools/list", **options).json()["result"]


def names(gateway: Gateway, **options: Any) -> set[str]:
    return {tool["name"] for tool in listed(gateway, **options)["tools"]}


def read(gateway: Gateway, uri: str = "note://1", **options: Any) -> Any:
    return gateway.mcp("resources/read", {"uri": f"counting+{uri}"}, **options).json()["result"]


def by(tokens: Tokens, **claims: Any) -> dict[str, Any]:
    return {"headers": {"Authorization": f"Bearer {tokens.make(**claims)}"}}


def hits(gateway: Gateway, cache: str = "tools", level: str = "l1", server: str = "counting") -> float:
    return gateway.metric(f'mcp_cache_hits_total{{cache="{cache}",level="{level}",server="{server}"}}')


def requests(gateway: Gateway, cache: str = "tools") -> float:
    return gateway.metric(f'mcp_cache_requests_total{{cache="{cache}",server="counting"}}')


def joined(gateway: Gateway) -> float:
    return gateway.metric('mcp_cache_joined_total{cache="tools",server="counting"}')


def wait_until_shared(gateway: Gateway, server: HasClient, **options: Any) -> None:
    """Until what this gateway keeps is in Redis, too."""
    numbers = itertools.count()

    def shared() -> bool:
        before = len(kept_in(server))
        call(gateway, "probe", {"n": next(numbers), "of": gateway.url}, **options)
        return len(kept_in(server)) > before

    gateway.wait_for(shared, "anything in Redis")


def kept_in(server: HasClient) -> dict[bytes, bytes]:
    """Key and value of each answer in Redis."""
    with server.client() as client:
        keys = cast("list[bytes]", client.keys("mcp-gateway:cache:" + "?" * 64))
        values = cast("list[bytes | None]", client.mget(keys)) if keys else []
    return {key: value for key, value in zip(keys, values, strict=True) if value is not None}
