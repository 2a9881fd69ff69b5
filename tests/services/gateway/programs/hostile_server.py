"""A server whose tools try to get into a web page: `hostile_server.py PORT`."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SCRIPT = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"
TOOLS = [
    {"name": SCRIPT, "description": SCRIPT, "inputSchema": {"type": "object"}},
    {"name": "plain", "description": "</li></ul><h1>taken</h1>", "inputSchema": {"type": "object"}},
]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["content-length"])))
        result: dict[str, object] = {"resultType": "complete", "ttlMs": 0, "cacheScope": "public"}
        if content["method"] == "tools/list":
            result["tools"] = TOOLS
        body = json.dumps({"jsonrpc": "2.0", "id": content["id"], "result": result}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 - the base class names it


class Server(ThreadingHTTPServer):
    daemon_threads = True


Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
