"""A server whose every answer is new, so that one that was kept can be told: `counting_server.py PORT`.

`POST /set` changes what it says of itself and of its answers. While it is `held`, nobody gets an answer until
`POST /go`. `GET /asked` tells what it was asked.
"""

import asyncio
import json
import sys
from typing import Any

import uvicorn

JSON = [(b"content-type", b"application/json")]
settings: dict[str, Any] = {
    "version": "1",
    "ttlMs": 0,
    "cacheScope": "private",
    "hints": {},
    "size": 0,
    "more": 0,
    "held": False,
    "broken": False,
}
asked: list[list[Any]] = []
go = asyncio.Event()


def told() -> dict[str, Any]:
    return {"ttlMs": settings["ttlMs"], "cacheScope": settings["cacheScope"]}


def tools() -> list[dict[str, Any]]:
    meta = {"dev.mcp-platform/cache": settings["hints"]} if settings["hints"] else {}
    names = ["count", f"tool-{len(asked)}", *(f"more-{number}" for number in range(settings["more"]))]
    return [{"name": name, "inputSchema": {"type": "object"}, "_meta": meta} for name in names]


def called(tool: str) -> dict[str, Any]:
    text = {"type": "text", "text": f"{len(asked)}{'.' * settings['size']}"}
    if tool == "ask":
        return {"resultType": "input_required", "inputRequests": {}, "requestState": "opaque"}
    if tool == "task":
        return {"resultType": "task", "taskId": str(len(asked))}
    if tool == "fail":
        return {"resultType": "complete", "isError": True, "content": [text]}
    if tool == "unsaid":
        return {"content": [text]}
    return {"resultType": "complete", "content": [text]}


async def answered(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    """The result; None for an error."""
    if method == "server/discover":
        return {}
    result = result_of(method, params)
    if settings["held"]:
        await go.wait()
    return None if settings["broken"] else result


def result_of(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    if method == "tools/call":
        asked.append([params["name"], params.get("arguments")])
        return None if params["name"] == "error" else called(params["name"])
    if method == "resources/read":
        asked.append([params["uri"]])
        if params["uri"] == "note://ask":
            return {"resultType": "input_required", "inputRequests": {}, **told()}
        contents = [{"uri": params["uri"], "text": str(len(asked))}]
        return {"resultType": "complete", "contents": contents, **told()}
    if method == "tools/list":
        asked.append([method])
        return {"resultType": "complete", "tools": tools(), **told()}
    return None


async def read(receive: Any) -> bytes:
    data = b""
    while True:
        event = await receive()
        data += event.get("body", b"")
        if not event.get("more_body"):
            return data


async def answer(method: str, request: dict[str, Any], receive: Any) -> dict[str, Any]:
    """The response; the work ends when the caller leaves."""
    work = asyncio.create_task(answered(method, request["params"]))
    gone = asyncio.create_task(receive())
    await asyncio.wait([work, gone], return_when=asyncio.FIRST_COMPLETED)
    gone.cancel()
    if not work.done():
        work.cancel()
        asked.append(["cancelled"])
        return {}
    result = work.result()
    if result is None:
        return {"error": {"code": -32602, "message": f"error {len(asked)}"}}
    result.setdefault("_meta", {})["io.modelcontextprotocol/serverInfo"] = {
        "name": "counting",
        "version": settings["version"],
    }
    return {"result": result}


async def app(scope: Any, receive: Any, send: Any) -> None:
    content: Any = asked
    if scope["path"] == "/set":
        settings.update(json.loads(await read(receive)))
        go.clear()
    elif scope["path"] == "/go":
        go.set()
    elif scope["path"] == "/mcp":
        request = json.loads(await read(receive))
        content = {"jsonrpc": "2.0", "id": request["id"], **await answer(request["method"], request, receive)}
    await send({"type": "http.response.start", "status": 200, "headers": JSON})
    await send({"type": "http.response.body", "body": json.dumps(content).encode()})


uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", loop="uvloop", http="httptools", lifespan="off")
