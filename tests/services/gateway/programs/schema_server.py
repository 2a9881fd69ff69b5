"""A server whose tools are given by a file: `schema_server.py TOOLS.json PORT`.

A call must repeat the argument `region` in a header, and says what it was.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

tools = json.loads(Path(sys.argv[1]).read_text())


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, request: object, status: int = 200, **content: object) -> None:
        body = json.dumps({"jsonrpc": "2.0", "id": request, **content}).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["content-length"])))
        region = self.headers.get("Mcp-Param-Region")
        match content["method"]:
            case "tools/list":
                result = {"tools": tools, "ttlMs": 0, "cacheScope": "public"}
            case "tools/call" if region is None:
                self.answer(content["id"], 400, error={"code": -32020, "message": "the header is missing"})
                return
            case "tools/call":
                result = {"content": [{"type": "text", "text": region}]}
            case _:
                result = {}
        self.answer(content["id"], result={"resultType": "complete", **result})

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True


Server(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
