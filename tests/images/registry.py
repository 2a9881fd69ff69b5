"""A registry as small as the protocol allows, for tests: OCI distribution specification 1.1, in memory."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


class Registry(ThreadingHTTPServer):
    """Blobs and manifests by digest, manifests also by `NAME:TAG`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.uploads: dict[str, bytearray] = {}

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Registry  # pyright: ignore[reportIncompatibleVariableOverride] - the standard library's own pattern
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/v2/":
            self._answer(200)
        elif "/manifests/" in path and (found := self.server.manifests.get(self._manifest_key())):
            media_type, content = found
            self._answer(200, content, {"Content-Type": media_type, "Docker-Content-Digest": digest(content)})
        elif "/blobs/" in path and (blob := self.server.blobs.get(path.rpartition("/")[2])) is not None:
            self._answer(200, blob, {"Content-Type": "application/octet-stream"})
        else:
            error = b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}'
            self._answer(404, error, {"Content-Type": "application/json"})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        number = str(len(self.server.uploads))
        self.server.uploads[number] = bytearray()
        self._answer(202, headers={"Location": f"{urlsplit(self.path).path.rstrip('/')}/{number}"})

    def do_PATCH(self) -> None:
        path = urlsplit(self.path).path
        content = self._body()
        upload = self.server.uploads[path.rpartition("/")[2]]
        upload.extend(content)
        self._answer(202, headers={"Location": path, "Range": f"0-{max(len(upload) - 1, 0)}"})

    def do_PUT(self) -> None:
        parts = urlsplit(self.path)
        content = self._body()
        if "/manifests/" in parts.path:
            entry = (self.headers["Content-Type"], content)
            self.server.manifests[self._manifest_key()] = entry
            self.server.manifests[self._manifest_key(digest(content))] = entry
        else:
            content = bytes(self.server.uploads[parts.path.rpartition("/")[2]]) + content
            assert parse_qs(parts.query)["digest"] == [digest(content)]
            self.server.blobs[digest(content)] = content
        self._answer(201, headers={"Docker-Content-Digest": digest(content)})

    def _manifest_key(self, reference: str = "") -> str:
        name, _, asked = urlsplit(self.path).path.removeprefix("/v2/").partition("/manifests/")
        return f"{name}:{reference or asked}"

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        content = bytearray()
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return bytes(content)

    def _answer(self, status: int, content: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {"Docker-Distribution-Api-Version": "registry/2.0", **(headers or {})}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@contextmanager
def running() -> Generator[Registry]:
    with Registry() as registry:
        thread = threading.Thread(target=registry.serve_forever)
        thread.start()
        try:
            yield registry
        finally:
            registry.shutdown()
            thread.join()
