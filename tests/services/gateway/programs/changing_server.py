"""A server by the official SDK that changes when it is told to: `changing_server.py NAME PORT [deaf]`.

`POST /change` with a list of events, such as "tools" or a resource's URI; `GET /asked` tells which filters it
was asked to listen by, and `GET /open` how many streams it has.
"""

import json
import sys
from typing import Any

import uvicorn
from mcp.server import MCPServer
from mcp.server.caching import CacheHint
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ToolsListChanged,
)
from starlette.requests import Request
from starlette.responses import JSONResponse

name, port, deaf = sys.argv[1], int(sys.argv[2]), "deaf" in sys.argv
bus = InMemorySubscriptionBus()
fresh = CacheHint(ttl_ms=3_600_000, scope="public")
server = MCPServer(
    name,
    log_level="WARNING",
    subscriptions=False if deaf else bus,
    cache_hints={"tools/list": fresh, "resources/read": fresh},
)
asked: list[Any] = []
changes: list[str] = []
LISTS = {"tools": ToolsListChanged(), "prompts": PromptsListChanged(), "resources": ResourcesListChanged()}


@server.tool()
def hello() -> str:
    """Greet."""
    return "hello"


@server.resource("note://first")
def first() -> str:
    """Give a note."""
    return f"version {len(changes)}"


@server.custom_route("/change", methods=["POST"])
async def change(request: Request) -> JSONResponse:
    for event in await request.json():
        changes.append(event)
        if event == "tools":
            server.add_tool(hello, name=f"hello-{len(changes)}")
        await bus.publish(LISTS.get(event) or ResourceUpdated(uri=event))
    return JSONResponse(None)


@server.custom_route("/asked", methods=["GET"])
async def tell_asked(_request: Request) -> JSONResponse:
    return JSONResponse(asked)


@server.custom_route("/open", methods=["GET"])
async def tell_open(_request: Request) -> JSONResponse:
    return JSONResponse(len(bus._listeners))  # pyright: ignore[reportPrivateUsage] - nothing else counts them


mcp = server.streamable_http_app(stateless_http=True, json_response=True)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """The server, with what it is asked to listen by noted."""

    body = b""

    async def noting() -> Any:
        nonlocal body
        event = await receive()
        body += event.get("body", b"")
        if b'"subscriptions/listen"' in body and event["type"] == "http.request" and not event["more_body"]:
            asked.append(json.loads(body)["params"]["notifications"])
            body = b""
        return event

    await mcp(scope, noting if scope["type"] == "http" else receive, send)


uvicorn.run(app, port=port, log_level="warning", loop="uvloop", http="httptools")
