"""The least that can answer an MCP call: `bare.py PORT [TOOLS [slow]]`.

A bare ASGI app under uvicorn that answers every `tools/call` with its argument, without checking anything.
It is the floor of the comparison, and, behind the gateway, a server that is never what limits. A slow one
waits before it answers, without using the CPU: many calls are then in flight and yet nothing is saturated.
"""

import asyncio
import sys
from typing import Any

import msgspec
import uvicorn

from services.kit.asgi import Receive, Scope, Send, answer_lifespan, respond

TOOLS = int(sys.argv[2]) if len(sys.argv) > 2 else 1  # noqa: PLR2004 - program, port, tools
SLOW = "slow" in sys.argv
SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}


def tool(number: int) -> dict[str, Any]:
    name = "echo" if number == 0 else f"echo-{number}"
    return {"name": name, "description": f"Return the text unchanged, tool {number}.", "inputSchema": SCHEMA}


LIST = {
    "resultType": "complete",
    "ttlMs": 1000,
    "cacheScope": "public",
    "tools": [tool(n) for n in range(TOOLS)],
}
DISCOVERY = {
    "resultType": "complete",
    "supportedVersions": ["2026-07-28"],
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "bare", "version": "1"},
    "ttlMs": 0,
    "cacheScope": "public",
}


async def nothing() -> None:
    """Neither startup nor shutdown has work."""


def result(request: dict[str, Any]) -> dict[str, Any]:
    if request["method"] == "tools/list":
        return LIST
    if request["method"] == "tools/call":
        text = request["params"]["arguments"]["text"]
        return {"resultType": "complete", "content": [{"type": "text", "text": text}]}
    return DISCOVERY


def wait_seconds(request: dict[str, Any]) -> float:
    """0.2 to 0.3 s by the number at the end of the text, so that two runs of the same calls wait alike."""
    text = request.get("params", {}).get("arguments", {}).get("text", "0")
    return 0.2 + int(text[-3:]) * 37 % 100 / 1000


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await answer_lifespan(receive, send, startup=nothing, shutdown=nothing)
        return
    body = b""
    more = True
    while more:
        event = await receive()
        body += event.get("body", b"")
        more = event.get("more_body", False)
    if not body:
        await respond(send, 200, b"{}")
        return
    request = msgspec.json.decode(body)
    if SLOW and request["method"] == "tools/call":
        await asyncio.sleep(wait_seconds(request))
    answer = {"jsonrpc": "2.0", "id": request.get("id"), "result": result(request)}
    await respond(send, 200, msgspec.json.encode(answer))


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
