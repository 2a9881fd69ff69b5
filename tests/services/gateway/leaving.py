"""Requests over sockets of one's own, so that a caller can leave whenever a test wants."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2

if TYPE_CHECKING:
    from conftest import Gateway, Launcher

STATELESS, HANDSHAKE = "2026-07-28", "2025-11-25"


class Odd:
    """A server of a test's own: `programs/odd_server.py`."""

    def __init__(self, launcher: Launcher) -> None:
        self._origin = f"http://127.0.0.1:{launcher.program('odd_server')}"
        self.url = f"{self._origin}/mcp"
        self.hanging_url = f"{self._origin}/hanging/mcp"
        """Here it lists nothing, for ever."""

    def saw(self, what: str) -> int:
        """How often: `hang`, a request that it doesn't answer; `cancelled`, the end of one by who sent it."""
        return httpx2.get(f"{self._origin}/seen").json().count(what)


def request(era: str, method: str, params: dict[str, Any], accept: str = "") -> tuple[dict[str, str], bytes]:
    """Headers and body of a well-formed request."""
    headers = {
        "Content-Type": "application/json",
        "Accept": accept or "application/json, text/event-stream",
        "MCP-Protocol-Version": era,
    }
    if era == STATELESS:
        meta = {
            "io.modelcontextprotocol/protocolVersion": era,
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        params = {**params, "_meta": {**params.get("_meta", {}), **meta}}
        headers["Mcp-Method"] = method
        if "name" in params:
            headers["Mcp-Name"] = params["name"]
    return headers, json.dumps({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).encode()


def ask(gateway: Gateway, era: str, method: str, params: dict[str, Any], accept: str = "") -> httpx2.Response:
    """The whole answer to a request."""
    headers, body = request(era, method, params, accept)
    return httpx2.post(f"{gateway.url}/mcp", content=body, headers=headers, timeout=30)


def send(gateway: Gateway, era: str, method: str, params: dict[str, Any]) -> socket.socket:
    """The connection on which a request was sent."""
    address = urlsplit(gateway.url)
    headers, body = request(era, method, params)
    lines = [f"{name}: {value}" for name, value in headers.items()]
    head = ["POST /mcp HTTP/1.1", f"Host: {address.netloc}", f"Content-Length: {len(body)}", *lines, "", ""]
    connection = socket.create_connection((address.hostname, address.port), timeout=20)
    connection.sendall("\r\n".join(head).encode() + body)
    return connection
