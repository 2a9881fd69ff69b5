"""The requests that are sent: JSON-RPC bodies, and the headers that 2026-07-28 wants beside them."""

from __future__ import annotations

import json
from dataclasses import dataclass

PROTOCOL = "2026-07-28"
SEQUENCE = "@SEQUENCE@"
"""The load generator writes the request's number over it, so that no two calls are the same."""
ECHOED = "bench-"
"""In a good answer of `echo`, which got it as its argument."""


@dataclass(frozen=True, slots=True)
class Message:
    """One request, ready to be sent.

    Attributes:
        body: The bytes of the body.
        headers: Without authorization.
        expect: Text that a good answer contains.
    """

    body: bytes
    headers: dict[str, str]
    expect: str


def request(method: str, parameters: dict[str, object] | None = None, *, expect: str = "") -> Message:
    """A request of 2026-07-28."""
    meta = {f"io.modelcontextprotocol/{key}": value for key, value in _META.items()}
    params = {**(parameters or {}), "_meta": meta}
    headers = {**_ANY, "MCP-Protocol-Version": PROTOCOL, "Mcp-Method": method}
    if "name" in params:
        headers["Mcp-Name"] = str(params["name"])
    return Message(_body(method, params), headers, expect)


def call(tool: str, text: str = ECHOED + SEQUENCE) -> Message:
    """A call of an echo tool under the name that a target gives it."""
    return request("tools/call", {"name": tool, "arguments": {"text": text}}, expect=ECHOED)


def tools_list(last_tool: str) -> Message:
    """A list that must hold the tool named."""
    return request("tools/list", expect=f'{last_tool}"')


def search(query: str, tool: str) -> Message:
    """A search for tools that must find the one named."""
    arguments = {"query": query}
    parameters: dict[str, object] = {"name": "search_tools", "arguments": arguments}
    return request("tools/call", parameters, expect=f'"name":"{tool}"')


def initialize() -> Message:
    """How a client of 2025-11-25 begins a session (that it will never use)."""
    params: dict[str, object] = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "bench", "version": "1"},
    }
    return Message(_body("initialize", params), dict(_ANY), "protocolVersion")


def junk() -> dict[str, Message]:
    """Requests that must be refused, by what is wrong with them."""
    good = call("bare__echo")
    nested = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":' + b"[" * 5000
    return {
        "no JSON": Message(b"\x00\xffnot json at all", good.headers, ""),
        "deeply nested": Message(nested, good.headers, ""),
        "unknown method": request(f"junk/{'x' * 200}{SEQUENCE}"),
        "unknown tool": call(f"nowhere__{SEQUENCE}"),
    }


_META = {"protocolVersion": PROTOCOL, "clientCapabilities": {}}
_ANY = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


def _body(method: str, params: dict[str, object]) -> bytes:
    content = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return json.dumps(content, separators=(",", ":")).encode()
