"""A server with tools that destroy: `risky_server.py PORT`.

`GET /seen` tells the parameters of the tool calls, `GET /lists` how often tools were listed; `POST /lists`
makes listing fail (`[false]`) or work again (`[true]`). The tool `wipe` needs three rounds.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ANNOTATIONS: dict[str, Any] = {
    "read": {"readOnlyHint": True},
    "gentle": {"readOnlyHint": False, "destructiveHint": False},
    "plain": None,
    "erase": {"destructiveHint": True},
    "put": {"destructiveHint": True, "idempotentHint": True},
    "wipe": {"destructiveHint": True, "idempotentHint": False},
    "muddled": {"readOnlyHint": True, "destructiveHint": True},
}
TOOLS = [
    {"name": name, "inputSchema": {"type": "object"}, **({"annotations": said} if said is not None else {})}
    for name, said in ANNOTATIONS.items()
]
SCHEMA: dict[str, Any] = {"type": "object", "properties": {}}
WHY = {"method": "elicitation/create", "params": {"message": "Why?", "requestedSchema": SCHEMA}}
STATES = ["one /é+=\U0001f98e", "two"]

seen: list[Any] = []
lists = {"count": 0, "works": True}


def called(params: dict[str, Any]) -> dict[str, Any]:
    state = params.get("requestState")
    if params["name"] != "wipe" or state == STATES[1]:
        return {"resultType": "complete", "content": [{"type": "text", "text": f"{params['name']} done"}]}
    if state == STATES[0]:
        assert params["inputResponses"]["why"]["action"] == "accept"
        return {"resultType": "input_required", "requestState": STATES[1]}
    assert state is None
    assert "inputResponses" not in params
    return {"resultType": "input_required", "inputRequests": {"why": WHY}, "requestState": STATES[0]}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, content: object, status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.answer(seen if self.path == "/seen" else lists["count"])

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/lists":
            (lists["works"],) = content
            self.answer({})
            return
        result: dict[str, Any] = {"resultType": "complete"}
        if content["method"] == "tools/list":
            lists["count"] += 1
            if not lists["works"]:
                self.answer({"jsonrpc": "2.0", "id": content["id"], "error": {"code": -1, "message": "no"}})
                return
            result |= {"tools": TOOLS, "ttlMs": 0, "cacheScope": "public"}
        elif content["method"] == "tools/call":
            params = {key: value for key, value in content["params"].items() if key != "_meta"}
            seen.append(params)
            result = called(params)
        self.answer({"jsonrpc": "2.0", "id": content["id"], "result": result})

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True


Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
