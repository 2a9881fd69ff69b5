"""A backend that takes OTLP over HTTP, as far as the protocol goes, and answers as it is told."""

from __future__ import annotations

import gzip
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Item:
    """A span or a log record.

    Attributes:
        resource: What it is from.
        facts: Its own attributes.
        trace_id: Hexadecimal; "" without a trace.
        text: A span's name, a record's body.
        raw: The message.
        headers: Of the request that it came in, names in lower case.
    """

    resource: Mapping[str, Any]
    facts: Mapping[str, Any]
    trace_id: str
    text: str
    raw: Any
    headers: Mapping[str, str]


class Sink:
    """Listens from the start; `status` is what it answers with."""

    def __init__(self, certificate: Path | None = None) -> None:
        """With a file that holds a certificate and its key, it speaks TLS."""
        self.items: list[Item] = []
        self.status = 200
        self.requests = 0
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                sink.requests += 1
                if sink.status == 200:
                    sink.take(
                        self.path, gzip.decompress(body), {k.lower(): v for k, v in self.headers.items()}
                    )
                self.send_response(sink.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002 - the base class names it

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self._scheme = "https"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}/otlp"

    def take(self, path: str, body: bytes, headers: Mapping[str, str]) -> None:
        if path == "/otlp/v1/traces":
            for of in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in of.scope_spans:
                    self.items += [_item(of, span, span.name, headers) for span in scope.spans]
        else:
            assert path == "/otlp/v1/logs"
            for of in ExportLogsServiceRequest.FromString(body).resource_logs:
                for scope in of.scope_logs:
                    found = ((it, it.body.string_value) for it in scope.log_records)
                    self.items += [_item(of, it, text, headers) for it, text in found]

    def named(self, text: str) -> list[Item]:
        return [item for item in self.items if item.text == text]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _item(of: Any, message: Any, text: str, headers: Mapping[str, str]) -> Item:
    resource, facts = _plain(of.resource.attributes), _plain(message.attributes)
    return Item(resource, facts, message.trace_id.hex(), text, message, headers)


def _plain(attributes: Any) -> dict[str, Any]:
    return {it.key: getattr(it.value, str(it.value.WhichOneof("value"))) for it in attributes}
