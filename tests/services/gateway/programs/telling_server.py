"""A server that puts a word into all that it answers, as its tools' names say: `telling_server.py WORD PORT`.

`GET /seen` tells all that it was sent.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

word, port = sys.argv[1], int(sys.argv[2])
seen: list[str] = []

JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
NO_HTTP = {
    "no_http": b"%s\r\n\r\n",
    "bad_header": b"HTTP/1.1 200 OK\r\n%s\r\n\r\n",
    "bad_length": JSON + b"content-length: %s\r\n\r\n{}",
    "bad_chunk": JSON + b"transfer-encoding: chunked\r\n\r\n%s\r\n",
    "cut_short": JSON + b"content-length: 900\r\n\r\n%s",
    "too_long": JSON + b"content-length: 2\r\n\r\n{}%s\r\n",
}
TOOLS = [
    *("good", "kept", "fail", "refuse", "ask", "stream", "garbage", "html", "huge", "leak", "task", "erase"),
    *NO_HTTP,
]
SCHEMA = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}


def tools() -> list[dict[str, Any]]:
    return [
        {"name": name, "inputSchema": SCHEMA, "annotations": {"destructiveHint": name == "erase"}}
        for name in TOOLS
    ]


def listed(method: str) -> dict[str, Any]:
    items = {"tools/list": {"tools": tools()}, "prompts/list": {"prompts": [{"name": "good"}]}}
    told = {"ttlMs": 0, "cacheScope": "private"}
    if method == "resources/read":
        return {**told, "contents": [{"uri": "note://good", "text": word}]}
    if method == "prompts/get":
        return {"messages": [{"role": "user", "content": {"type": "text", "text": word}}]}
    return {**told, **items.get(method, {})}


def called(tool: str) -> dict[str, Any]:
    content = [{"type": "text", "text": word}]
    if tool == "ask":
        ask = {"message": word, "requestedSchema": {"type": "object", "properties": {}}}
        requests = {"it": {"method": "elicitation/create", "params": ask}}
        return {"resultType": "input_required", "inputRequests": requests, "requestState": word}
    if tool == "huge":
        content *= 10_000
    if tool == "leak":
        content.append({"type": "text", "text": f"AKIA{'Z' * 16} {word}"})
    return {"content": content, "structuredContent": {word: word}, "isError": tool == "fail"}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, body: bytes, kind: str = "application/json") -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.answer(json.dumps(seen).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        request = json.loads(body)
        tool = request["params"].get("name", "") if request["method"] == "tools/call" else ""
        if tool or request["method"].endswith(("/read", "/get")):
            seen.append(f"{self.headers}\n{body.decode()}")
        if tool in NO_HTTP:
            self.wfile.write(NO_HTTP[tool] % word.encode())
            self.close_connection = True
        elif tool == "garbage":
            self.answer(f'{{"jsonrpc": "2.0", "result": {word}'.encode())
        elif tool == "html":
            self.answer(f"<p>{word}</p>".encode(), f"text/html; name={word}")
        else:
            self.reply(request, tool)

    def reply(self, request: dict[str, Any], tool: str) -> None:
        message: dict[str, Any] = {"jsonrpc": "2.0", "id": request["id"]}
        if tool == "refuse":
            message["error"] = {"code": -32000, "message": word, "data": word}
        else:
            result = called(tool) if tool else listed(request["method"])
            message["result"] = {"resultType": "complete", **result}
        if tool != "stream":
            self.answer(json.dumps(message).encode())
            return
        progress = {"progressToken": "p", "progress": 1, "message": word}
        event = {"jsonrpc": "2.0", "method": "notifications/progress", "params": progress}
        events = "".join(f"data: {json.dumps(it)}\n\n" for it in (event, message))
        self.answer(f": {word}\n\n{events}".encode(), "text/event-stream")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True


Server(("127.0.0.1", port), Handler).serve_forever()
