"""The caller's token is for the gateway alone: whatever is done with it, it comes out nowhere."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2

from tests.services.gateway.attacks import Site, ask

if TYPE_CHECKING:
    from conftest import Gateway, Launcher, Tokens

MARK = "canary-6f1c2b"
"""In a claim of every token, so that what was decoded of one would show, too."""
SCHEMA = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
WORDS: dict[str, dict[str, Any]] = {
    "tools/list": {"tools": [{"name": "good", "inputSchema": SCHEMA}]},
    "prompts/list": {"prompts": [{"name": "good"}]},
    "resources/list": {"resources": [{"uri": "note://x", "name": "x"}]},
    "resources/templates/list": {"resourceTemplates": []},
    "tools/call": {"content": [{"type": "text", "text": "done"}]},
    "prompts/get": {"messages": []},
    "resources/read": {"contents": []},
    "completion/complete": {"completion": {"values": []}},
}
CALLS: list[tuple[str, dict[str, Any]]] = [
    *((method, {}) for method in WORDS if method.endswith("/list")),
    ("tools/call", {"name": "spy__good", "arguments": {"region": "eu"}}),
    ("tools/call", {"name": "spy__garbage"}),
    ("tools/call", {"name": "spy__refused"}),
    ("tools/call", {"name": "gone__x"}),
    ("tools/call", {"name": "hidden__x"}),
    ("tools/call", {}),
    ("prompts/get", {"name": "spy__good"}),
    ("resources/read", {"uri": "spy+note://x"}),
    ("completion/complete", {"ref": {"type": "ref/prompt", "name": "spy__good"}, "argument": {}}),
    ("server/discover", {}),
    ("initialize", {"protocolVersion": "2025-11-25", "capabilities": {"elicitation": {}}}),
    ("ping", {}),
    ("nonsense", {}),
]


class Spy(Site):
    """A server that keeps all that it is sent, and answers some of it badly."""

    def answer(self, sent: bytes) -> bytes:
        request = json.loads(sent)
        name = request["params"].get("name")
        if name == "garbage":
            return b"<garbage>"
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": request["id"]}
        if name == "refused":
            return json.dumps({**reply, "error": {"code": -32000, "message": "refused"}}).encode()
        result = {
            "resultType": "complete",
            "ttlMs": 0,
            "cacheScope": "public",
            **WORDS.get(request["method"], {}),
        }
        return json.dumps({**reply, "result": result}).encode()


def pieces(token: str) -> list[str]:
    """What would give a token away: its parts, and the mark within them however it is written."""
    parts = token.split(".")
    marked = [base64.b64encode(b"x" * shift + MARK.encode()).decode()[4:-4] for shift in range(3)]
    return [token, *parts[1:], MARK, *marked]


def show_everywhere(gateway: Gateway, token: str) -> list[str]:
    """Come with the token in every way, right and wrong; gives all that was answered."""
    answers = [ask(gateway, era, *call, token) for call in CALLS for era in ("stateless", "handshake")]
    bearer = {"Authorization": f"Bearer {token}"}
    for path in ("/config", "/tools", "/health", "/openapi.json", "/nothing", "/admin/servers", f"/{token}"):
        answers.append(httpx2.get(f"{gateway.url}{path}", headers=bearer))
        answers.append(httpx2.get(f"{gateway.url}{path}?access_token={token}"))
    url = f"{gateway.url}/mcp"
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    headers = (
        [("Authorization", f"Basic {token}")],
        [("Authorization", token)],
        [("Authorization", f"Bearer {token} {token}")],
        [("Authorization", f"Bearer {token}x")],
        [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")],
        [("Cookie", f"token={token}")],
        [("X-Request-Id", token), ("Authorization", f"Bearer {token}")],
        [("Origin", f"https://{token}.test"), ("Authorization", f"Bearer {token}")],
    )
    answers += [httpx2.post(url, json=body, headers=lines) for lines in headers]
    answers.append(httpx2.post(url, content=b"{", headers={**bearer, "Content-Type": "application/json"}))
    answers.append(httpx2.post(url, content=b"x", headers={**bearer, "Content-Type": "text/plain"}))
    return [f"{answer.headers} {answer.text}" for answer in answers]


def test_a_token_comes_out_nowhere(launcher: Launcher, tokens: Tokens, tmp_path: Path) -> None:
    spy, collector = Spy(), Site()
    policy = tmp_path / "policy.yaml"
    rule = {"effect": "allow", "groups": ["*"], "servers": ["spy", "gone"], "tools": ["*"], "prompts": ["*"]}
    policy.write_text(json.dumps({"rules": [rule]}))
    servers = [
        {"name": "spy", "urls": [f"{spy.url}/mcp"]},
        {"name": "gone", "urls": ["http://127.0.0.1:9/mcp"]},
        {"name": "hidden", "urls": [f"{spy.url}/mcp"]},
    ]
    gateway = launcher.gateway(
        {
            "auth": tokens.auth,
            "authorization": {"policy_file": str(policy)},
            "servers": servers,
            "audit": {"sink": "log", "reads": True},
            "tracing": {"endpoint": collector.url, "sample_ratio": 1},
            "log_level": "debug",
        }
    )
    shown = [
        tokens.make(note=MARK, sub="good"),
        tokens.make(note=MARK, sub="late", exp=1),
        tokens.make(note=MARK, sub="weak", scope=None),
        tokens.make(note=MARK, sub="foreign", aud="https://elsewhere.test"),
    ]
    answered = [text for token in shown for text in show_everywhere(gateway, token)]
    metrics = httpx2.get(f"{gateway.ops_url}/metrics").text
    gateway.wait_for(lambda: "tools/call good" in "".join(collector.received), "spans")
    assert gateway.process.stop() == 0
    spy.close()
    collector.close()
    log = gateway.process.log.read_text()
    places = {
        "servers": "".join(spy.received),
        "spans": "".join(collector.received),
        "log and audit": log,
        "answers": "".join(answered),
        "metrics": metrics,
    }
    assert "tools/call" in places["servers"], "the server was asked, and its requests are looked through"
    assert '"event":"audit"' in log, "the audit is looked through"
    for place, text in places.items():
        for token in shown:
            for piece in pieces(token):
                assert piece not in text, (place, token.split(".")[1], piece)
