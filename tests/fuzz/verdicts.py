"""What every answer of the gateway must be, whatever it was asked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

REFUSALS = {400, 401, 403, 404, 405, 406, 408, 413, 415, 421, 429, 431}
STATUSES = {200, 202, 503, *REFUSALS}
PROBLEM = "application/problem+json"
LEAK = re.compile(r"Traceback|site-packages|\.py\b|File \"|line \d+, in |object at 0x|Error\(|Exception\b")
"""What only an exception's text or a defect would put into an answer."""


def check_no_leak(text: str, sent: bytes = b"") -> None:
    """Exception text would be new in the answer: what was sent may come back."""
    for found in LEAK.findall(text):
        assert found.encode() in sent, text[:2000]


def check_message(message: Any) -> None:
    """A JSON-RPC response, or a notification within a stream."""
    assert isinstance(message, dict)
    assert message["jsonrpc"] == "2.0"
    if "method" in message:
        return
    assert ("result" in message) != ("error" in message), message
    if "error" in message:
        assert isinstance(message["error"]["code"], int)
        assert isinstance(message["error"]["message"], str)
    else:
        assert isinstance(message["result"], dict)
    assert message["id"] is None or isinstance(message["id"], int | str)


def check_mcp(status: int, headers: Mapping[str, str], body: bytes, sent: bytes = b"") -> None:
    """An answer of `/mcp`: JSON-RPC, whatever was sent."""
    assert status in STATUSES, (status, body[:2000])
    assert "x-request-id" in headers
    text = body.decode()
    check_no_leak(text, sent)
    if status == 202:
        assert text == ""
    elif headers["content-type"] == "text/event-stream":
        events = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
        for event in events:
            check_message(json.loads(event))
    else:
        assert headers["content-type"] == "application/json"
        message = json.loads(text)
        check_message(message)
        assert ("error" in message) or status == 200, message
        if status == 401:
            assert headers["www-authenticate"].startswith("Bearer ")


def check_page(status: int, headers: Mapping[str, str], body: bytes) -> None:
    """An answer of any other path."""
    assert status in STATUSES, (status, body[:2000])
    check_no_leak(body.decode())
    kind = headers.get("content-type", "")
    if kind == PROBLEM:
        assert json.loads(body)["status"] == status
    else:
        assert status < 400 or status == 503, (status, kind)
    if kind == "application/json":
        json.loads(body)
