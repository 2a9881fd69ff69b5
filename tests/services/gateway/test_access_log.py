"""The access log: one JSON line a request, with the fields that a log store is asked by."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

if TYPE_CHECKING:
    from conftest import Gateway, Tokens

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACED = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-00"}
ADD = {"name": "alpha__add", "arguments": {"a": 1, "b": 2}}


def line(gateway: Gateway, request_id: str) -> dict[str, Any]:
    """The one line of the access log about a request."""
    ours = gateway.logged(request_id=request_id)
    (found,) = (it for it in ours if it["event"] in {"request", "page"})
    assert datetime.fromisoformat(found["time"]).utcoffset() is not None
    assert (found["level"], found["service"]) == ("info", "gateway")
    assert found["duration_ms"] >= 0
    return found


def headers(tokens: Tokens, request_id: str, **claims: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens.make(**claims)}", "X-Request-Id": request_id}


def test_a_call(guarded: Gateway, tokens: Tokens) -> None:
    guarded.mcp("tools/call", ADD, headers=headers(tokens, "log-ok"), meta=TRACED)
    found = line(guarded, "log-ok")
    expected = {
        "event": "request",
        "user": "ada",
        "trace_id": TRACE,
        "method": "tools/call",
        "era": "2026-07-28",
        "server": "alpha",
        "name": "add",
        "status": 200,
        "outcome": "ok",
    }
    assert {key: found[key] for key in expected} == expected
    assert "error" not in found


@pytest.mark.parametrize(
    ("name", "error"), [("alpha__fail", "tool_error"), ("odd__html", "bad_response"), ("no__tool", "-32602")]
)
def test_a_call_that_failed(guarded: Gateway, tokens: Tokens, name: str, error: str) -> None:
    request_id = f"log-{name}"
    call = {"name": name, "arguments": {}}
    guarded.mcp("tools/call", call, headers=headers(tokens, request_id), meta=TRACED)
    found = line(guarded, request_id)
    assert found["error"] == {"type": error}
    assert (found["user"], found["trace_id"]) == ("ada", TRACE)


@pytest.mark.parametrize(
    ("content", "status", "error"),
    [(b"{", 400, "-32700"), (b'{"filler": "%b"}' % (b"x" * 5_000_000), 413, "body_size")],
)
def test_a_body_that_is_not_taken_still_has_its_user(
    guarded: Gateway, tokens: Tokens, content: bytes, status: int, error: str
) -> None:
    request_id = f"log-{status}"
    sent = {**headers(tokens, request_id), "Content-Type": "application/json"}
    httpx2.post(f"{guarded.url}/mcp", content=content, headers=sent, timeout=20)
    found = line(guarded, request_id)
    assert (found["status"], found["error"], found["user"]) == (status, {"type": error}, "ada")


def test_who_is_not_known_is_nobody(guarded: Gateway, tokens: Tokens) -> None:
    guarded.mcp("tools/call", ADD, headers=headers(tokens, "log-forged", aud="https://elsewhere.test"))
    found = line(guarded, "log-forged")
    assert (found["status"], found["error"]) == (401, {"type": "token_audience"})
    assert "user" not in found


def test_pages_have_the_same_fields(guarded: Gateway, tokens: Tokens) -> None:
    for request_id, scope in (("log-page", "mcp:read"), ("log-page-denied", "mcp:call")):
        httpx2.get(f"{guarded.url}/config", headers=headers(tokens, request_id, scope=scope))
    good, denied = line(guarded, "log-page"), line(guarded, "log-page-denied")
    assert (good["user"], good["status"], "error" in good) == ("ada", 200, False)
    assert (denied["user"], denied["status"], denied["error"]) == ("ada", 403, {"type": "scope"})


def test_one_request_leaves_nothing_in_the_next(guarded: Gateway, tokens: Tokens) -> None:
    """They may share a connection, and with it the context of its task."""
    body = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    with httpx2.Client() as client:
        client.post(f"{guarded.url}/mcp", json=body, headers=headers(tokens, "log-first"))
        client.post(f"{guarded.url}/mcp", json=body, headers={"X-Request-Id": "log-second"})
    assert line(guarded, "log-first")["user"] == "ada"
    assert "user" not in line(guarded, "log-second")
