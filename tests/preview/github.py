"""GitHub's REST API as far as comments of an issue go, as its documentation describes it, on a local port."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

REPOSITORY = "acme/platform"
TOKEN = "token-of-the-job"
BOT = "github-actions[bot]"
LIMIT = 65_536


@dataclass
class GitHub:
    """The comments of pull request 7, and what was asked for."""

    url: str = ""
    comments: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    requests: list[str] = field(default_factory=list[str])
    failures: list[int] = field(default_factory=list[int])
    """Statuses of the next answers, instead of what was asked for."""
    failing: set[str] = field(default_factory=set[str])
    """Methods that are not answered well for now."""

    def add(self, body: str, login: str) -> dict[str, Any]:
        number = len(self.comments) + 1
        url = f"https://github.com/{REPOSITORY}/pull/7#issuecomment-{number}"
        comment = {"id": number, "body": body, "user": {"login": login}, "html_url": url}
        self.comments.append(comment)
        return comment


class Handler(BaseHTTPRequestHandler):
    github: GitHub

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PATCH(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library calls it so
        """Be silent."""

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        url = urlsplit(self.path)
        self.github.requests.append(f"{self.command} {url.path}")
        if self.github.failures:
            self._send(self.github.failures.pop(0), {"message": "Try later"})
            return
        if self.command in self.github.failing:
            self._send(502, {"message": "Try later"})
            return
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._send(401, {"message": "Bad credentials"})
            return
        assert self.headers["Accept"] == "application/vnd.github+json"
        assert self.headers["X-GitHub-Api-Version"] == "2022-11-28"
        assert self.headers["User-Agent"]
        if len(body.get("body", "")) > LIMIT:
            self._send(422, {"message": "Validation Failed"})
            return
        self._route(url.path, parse_qs(url.query), body)

    def _route(self, path: str, query: dict[str, list[str]], body: dict[str, str]) -> None:
        comments = f"/repos/{REPOSITORY}/issues/7/comments"
        one = re.fullmatch(rf"/repos/{REPOSITORY}/issues/comments/(\d+)", path)
        if self.command == "GET" and path == comments:
            self._page(comments, int(query.get("per_page", ["30"])[0]), int(query.get("page", ["1"])[0]))
        elif self.command == "POST" and path == comments:
            self._send(201, self.github.add(body["body"], BOT))
        elif self.command == "PATCH" and one:
            comment = self.github.comments[int(one[1]) - 1]
            comment["body"] = body["body"]
            self._send(200, comment)
        else:
            self._send(404, {"message": "Not Found"})

    def _page(self, path: str, size: int, number: int) -> None:
        found = self.github.comments[(number - 1) * size : number * size]
        following = f"<{self.github.url}{path}?per_page={size}&page={number + 1}>"
        more = len(self.github.comments) > number * size
        self._send(200, found, {"Link": f'{following}; rel="next", <x>; rel="last"'} if more else {})

    def _send(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def serving() -> Generator[GitHub]:
    """GitHub, while the block runs."""
    github = GitHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"github": github}))
    github.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield github
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
