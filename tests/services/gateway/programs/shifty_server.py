"""A server that is what it is told to be, now: `shifty_server.py PORT`.

`PUT /state` replaces everything, `GET /seen` tells the methods and names that were asked since. The state:

    {"tools": […], "prompts": […], "resources": […], "resourceTemplates": […],
     "answers": {name: {"result": …} or {"error": …}}, "events": {name: [notification, …]},
     "ascii": whether JSON is written in ASCII, "pages": how many pages a list has,
     "ttlMs": how long a list is fresh, "lists_fail": the message with which lists are refused,
     "tools_for_callers": what is listed to who has `dev.test/caller` in its `_meta`,
     "replace": [what, by what] in everything that is written}
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LISTS = {
    "tools/list": "tools",
    "prompts/list": "prompts",
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
}
state: dict[str, Any] = {}
seen: list[str] = []


def result_of(method: str, params: dict[str, Any]) -> dict[str, Any]:
    if (key := LISTS.get(method)) is not None:
        if state.get("lists_fail"):
            return {"error": {"code": -32603, "message": state["lists_fail"]}}
        pages = state.get("pages", 1)
        number = int(params.get("cursor", 0))
        if "dev.test/caller" in params["_meta"]:
            key_for_callers = f"{key}_for_callers"
            items = state.get(key_for_callers, state.get(key, []))
        else:
            items = state.get(key, [])[number::pages]
        following = {"nextCursor": str(number + 1)} if number + 1 < pages else {}
        return {"result": {key: items, "ttlMs": state.get("ttlMs", 0), "cacheScope": "public", **following}}
    if method == "server/discover":
        return {"result": {}}
    name = params.get("name") or params.get("uri") or params.get("ref", {}).get("name")
    fine = {"result": {"content": [{"type": "text", "text": f"{name} ran"}]}}
    return state.get("answers", {}).get(name, fine)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def content(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["content-length"])))

    def answer(self, body: bytes, kind: str = "application/json") -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.answer(json.dumps(seen).encode())

    def do_PUT(self) -> None:
        state.clear()
        state.update(self.content())
        seen.clear()
        self.answer(b"{}")

    def do_POST(self) -> None:
        request = self.content()
        method, params = request["method"], request.get("params", {})
        if method != "server/discover":
            name = params.get("name") or params.get("uri") or params.get("ref", {}).get("name")
            seen.append(f"{method} {name}" if name else method)
        outcome = result_of(method, params)
        if "result" in outcome:
            outcome = {"result": {"resultType": "complete", **outcome["result"]}}
        reply = {"jsonrpc": "2.0", "id": request["id"], **outcome}
        events = state.get("events", {}).get(params.get("name"), [])
        if not events:
            self.answer(self.written(reply))
            return
        messages = [{"jsonrpc": "2.0", **event} for event in events] + [reply]
        self.answer(b"".join(b"data: " + self.written(it) + b"\n\n" for it in messages), "text/event-stream")

    def written(self, content: Any) -> bytes:
        text = json.dumps(content, ensure_ascii=state.get("ascii", True))
        return text.replace(*state.get("replace", ("", ""))).encode("utf-8", "surrogateescape")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 100


Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
