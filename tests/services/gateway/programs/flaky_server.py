"""A server that fails as it is told: `flaky_server.py PORT`.

`POST /plan` sets what happens to the next tool calls and reads, one word each: `break` (the connection, not
answering), `away` (a proxy's 503), `refuse` (a 431), `fill` (20 kB), `ok`; after the last word all is well.
`GET /seen` tells their names.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

plan: list[str] = []
seen: list[str] = []

TOOLS = [
    {"name": "read", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}},
    {"name": "put", "inputSchema": {"type": "object"}, "annotations": {"idempotentHint": True}},
    {"name": "add", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": None}},
]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, content: object, status: int = 200, kind: str = "application/json") -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.answer(seen)

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/plan":
            plan[:] = content
            seen.clear()
            self.answer({})
            return
        result: dict[str, object] = {"resultType": "complete"}
        match content["method"]:
            case "tools/list":
                result |= {"tools": TOOLS, "ttlMs": 0, "cacheScope": "public"}
            case "tools/call" | "resources/read":
                params = content["params"]
                seen.append(params.get("name") or params["uri"])
                if not self.goes_well(plan.pop(0) if plan else "ok"):
                    return
                result |= {"content": [{"type": "text", "text": "fine"}], "contents": []}
            case _:
                pass  # server/discover needs nothing more
        self.answer({"jsonrpc": "2.0", "id": content["id"], "result": result})

    def goes_well(self, word: str) -> bool:
        if word == "break":
            self.close_connection = True
        elif word == "away":
            self.answer("no healthy upstream", 503, "text/plain")
        elif word == "refuse":
            self.answer("too large", 431, "text/plain")
        elif word == "fill":
            self.answer("x" * 20_000)
        return word == "ok"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True


Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
