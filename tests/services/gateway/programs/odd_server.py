"""A server that does what a tool's name says: `odd_server.py PORT`. `GET /seen` tells what it saw."""

import asyncio
import json
import sys
from typing import Any

import uvicorn

JSON = [(b"content-type", b"application/json")]
STREAM = [(b"content-type", b"text/event-stream")]
seen: list[Any] = []
calls: dict[str, Any] = {}


def result_of(tool: str, request: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    if tool == "mirror":
        text = json.dumps({"headers": headers, "request": request})
        return {"resultType": "complete", "content": [{"type": "text", "text": text}]}
    if tool == "ask":
        return {"resultType": "input_required", "inputRequests": {}, "requestState": "opaque"}
    if tool == "link":
        link = {"type": "resource_link", "uri": "note://linked", "name": "linked"}
        embedded = {"type": "resource", "resource": {"uri": "note://embedded", "text": "x"}}
        return {
            "resultType": "complete",
            "content": [link, embedded, {"type": "text", "text": "note://plain"}],
        }
    return {"resultType": "complete", "content": [{"type": "text", "text": tool}]}


def page(params: dict[str, Any]) -> dict[str, Any]:
    cursor = params.get("cursor")
    names = ["mirror", "hang"] if cursor is None else ["ask", "link"]
    tools = [
        {"name": name, "inputSchema": {"type": "object"}, "description": f"  {name}\n"} for name in names
    ]
    following = {"nextCursor": "two"} if cursor is None else {}
    return {"resultType": "complete", "tools": tools, "ttlMs": 60000, "cacheScope": "public", **following}


class Exchange:
    def __init__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope, self.receive, self.send = scope, receive, send

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def body(self, data: bytes, *, more: bool = False) -> None:
        await self.send({"type": "http.response.body", "body": data, "more_body": more})

    async def json(self, content: Any, status: int = 200) -> None:
        await self.start(status, JSON)
        await self.body(json.dumps(content).encode())

    async def read(self) -> bytes:
        data = b""
        while True:
            event = await self.receive()
            data += event.get("body", b"")
            if not event.get("more_body"):
                return data


def message(**content: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", **content}


def event(content: Any) -> bytes:
    return b"event: message\r\ndata: " + json.dumps(content).encode() + b"\r\n\r\n"


async def stream(exchange: Exchange, request: dict[str, Any], *, finish: bool) -> None:
    await exchange.start(200, STREAM)
    await exchange.body(b": hello\r\n\r\n", more=True)
    token = request["params"]["_meta"].get("progressToken", "none")
    for step in (1, 2):
        params = {"progressToken": token, "progress": step}
        await exchange.body(event(message(method="notifications/progress", params=params)), more=True)
    if finish:
        await exchange.body(event(message(id=request["id"], result=result_of("streamed", {}, {}))), more=True)
    await exchange.body(b"")


async def stream_for_ever(exchange: Exchange, request: dict[str, Any], pause: float = 0.3) -> None:
    """Some progress every now and then, until the caller leaves."""
    await exchange.start(200, STREAM)
    gone = asyncio.create_task(hang(exchange))
    while not gone.done():
        params = {"progressToken": request["params"]["_meta"].get("progressToken", "none"), "progress": 1}
        await exchange.body(event(message(method="notifications/progress", params=params)), more=True)
        await asyncio.wait([gone], timeout=pause)


async def hang(exchange: Exchange) -> None:
    seen.append("hang")
    while (await exchange.receive())["type"] != "http.disconnect":
        pass
    seen.append("cancelled")


async def listen(exchange: Exchange, request: dict[str, Any]) -> None:
    """Tell of a part of the first resource and of the second one, then of nothing."""
    wanted = request["params"]["notifications"]
    first, second = wanted["resourceSubscriptions"]
    await exchange.start(200, STREAM)
    acknowledged = message(
        method="notifications/subscriptions/acknowledged", params={"notifications": wanted}
    )
    await exchange.body(event(acknowledged), more=True)
    for uri in (f"{first}/a/b.txt", second, "file:///other", f"{first}2"):
        await exchange.body(
            event(message(method="notifications/resources/updated", params={"uri": uri})), more=True
        )
    await hang(exchange)


async def call(exchange: Exchange, request: dict[str, Any], headers: dict[str, str]) -> None:
    tool = request["params"]["name"]
    if tool == "hang":
        await hang(exchange)
    elif tool == "html":
        await exchange.start(502, [(b"content-type", b"text/html")])
        await exchange.body(b"<h1>Bad gateway</h1>")
    elif tool == "garbage":
        await exchange.start(200, JSON)
        await exchange.body(b'{"jsonrpc": "2.0", "id": ')
    elif tool == "huge":
        await exchange.json(message(id=request["id"], result={"content": [], "filler": "x" * 3_000_000}))
    elif tool == "old":
        await exchange.json(message(id=request["id"], error={"code": -32022, "message": "old"}), 400)
    elif tool == "other_id":
        await exchange.json(message(id="not yours", result={}))
    elif tool == "endless_stream":
        await stream_for_ever(exchange, request)
    elif tool in {"stream", "broken_stream"}:
        await stream(exchange, request, finish=tool == "stream")
    else:
        await exchange.json(message(id=request["id"], result=result_of(tool, request, headers)))


async def app(scope: Any, receive: Any, send: Any) -> None:
    exchange = Exchange(scope, receive, send)
    if scope["path"] == "/seen":
        await exchange.json(seen)
        return
    request = json.loads(await exchange.read())
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    if scope["path"] == "/hanging/mcp" and request["method"] != "server/discover":
        await hang(exchange)
        return
    if request["method"] == "tools/call":
        await call(exchange, request, headers)
    elif request["method"] == "subscriptions/listen":
        await listen(exchange, request)
    elif request["method"] == "tools/list":
        await exchange.json(message(id=request["id"], result=page(request["params"])))
    elif request["method"] == "server/discover":
        await exchange.json(message(id=request["id"], result={}))
    else:
        await exchange.json(message(id=request["id"], error={"code": -32601, "message": "no"}), 404)


uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", loop="uvloop", http="httptools", lifespan="off")
