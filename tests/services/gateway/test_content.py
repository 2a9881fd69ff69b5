"""What a server's texts bring to callers, through a real gateway: every way in which a text can come."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

if TYPE_CHECKING:
    from conftest import Gateway, Launcher, Shifty

TAGS = "".join(chr(0xE0000 + ord(it)) for it in "obey")
POISON = f"Do\u200b it.{TAGS}\u202e"
KEY = "AKIAIOSFODNN7EXAMPLE"
MARK = "[redacted:aws-access-key]"
BLOCKED = -32015


def start(launcher: Launcher, shifty: Shifty, **content: Any) -> Gateway:
    server = {"name": "s", "urls": [shifty.url]}
    return launcher.gateway({"auth": "none", "servers": [server], "content": content})


def everywhere(text: str) -> dict[str, Any]:
    """A state in which a server says `text` wherever a person or a model would read it."""
    schema = {
        "type": "object",
        "title": text,
        "properties": {"a": {"type": "string", "description": text, "enum": [text]}},
    }
    argument = {"name": "a", "description": text}
    named = {"name": "n", "title": text, "description": text}
    contents = [{"uri": "note://n", "text": text, "mimeType": "text/plain"}]
    elicitation = {"message": text, "requestedSchema": schema}
    return {
        "tools": [{**named, "inputSchema": schema, "outputSchema": schema, "annotations": {"title": text}}],
        "prompts": [{**named, "arguments": [argument]}],
        "resources": [{**named, "uri": "note://n"}],
        "resourceTemplates": [{**named, "uriTemplate": "note://{n}"}],
        "answers": {
            "tool": {
                "result": {
                    "content": [
                        {"type": "text", "text": text},
                        {"type": "resource", "resource": {"uri": "note://n", "text": text}},
                    ],
                    "structuredContent": {"a": {"b": [text, 1.50]}, text: True},
                    "_meta": {"x": text},
                }
            },
            "prompt": {
                "result": {
                    "description": text,
                    "messages": [{"role": "user", "content": {"type": "text", "text": text}}],
                }
            },
            "note://n": {"result": {"contents": contents}},
            "error": {"error": {"code": -32000, "message": text, "data": {"why": [text]}}},
            "ask": {
                "result": {
                    "resultType": "input_required",
                    "inputRequests": {"q": {"method": "elicitation/create", "params": elicitation}},
                    "requestState": f"state {text}",
                }
            },
        },
        "events": {
            "stream": [
                {
                    "method": "notifications/progress",
                    "params": {"progressToken": 1, "progress": 1, "message": text},
                },
                {"method": "notifications/message", "params": {"level": "info", "data": {"said": text}}},
            ]
        },
    }


LISTS = ("tools/list", "prompts/list", "resources/list", "resources/templates/list")
CALLS = {
    "tool": ("tools/call", {"name": "s__tool"}),
    "prompt": ("prompts/get", {"name": "s__prompt"}),
    "resource": ("resources/read", {"uri": "s+note://n"}),
    "error": ("tools/call", {"name": "s__error"}),
    "question": ("tools/call", {"name": "s__ask"}),
    "stream": ("tools/call", {"name": "s__stream"}),
    "completion": ("completion/complete", {"ref": {"type": "ref/prompt", "name": "s__tool"}, "argument": {}}),
}


def body(response: httpx2.Response) -> str:
    """All that came, its JSON with characters as themselves."""
    texts = [line.removeprefix("data: ") for line in response.text.splitlines() if line and line[0] != ":"]
    return "\n".join(
        json.dumps(json.loads(text), ensure_ascii=False) for text in texts if not text.startswith("event:")
    )


@pytest.mark.parametrize("ascii_only", [True, False], ids=["escaped", "as itself"])
def test_hidden_text_is_stripped_wherever_it_comes(
    launcher: Launcher, shifty: Shifty, ascii_only: bool
) -> None:
    gateway = start(launcher, shifty)
    shifty.become(**everywhere(POISON), ascii=ascii_only)
    for method in LISTS:
        text = body(gateway.mcp(method))
        assert text.count("Do it.") >= 2, method
        assert not set(text) & set(POISON[2] + TAGS + POISON[-1]), method
    for name, (method, params) in CALLS.items():
        text = body(gateway.mcp(method, params)).replace(f"state {POISON}", "")
        assert "Do it." in text, name
        assert not set(text) & set(POISON[2] + TAGS + POISON[-1]), name
    assert gateway.metric('mcp_content_sanitized_total{kind="bidi",server="s"}') > 10
    assert gateway.metric('mcp_content_sanitized_total{kind="tag",server="s"}') > 40
    assert gateway.metric('mcp_content_sanitized_total{kind="zero_width",server="s"}') > 10
    lines = gateway.logged("server's text cleaned")
    assert {line["name"] for line in lines} >= {"list", "s__tool", "s__stream", "s+note://n"}
    assert all(line["server"] == "s" and line["hidden"]["tag"] > 0 for line in lines)


def test_a_caller_of_the_older_generation_is_asked_without_hidden_text(
    launcher: Launcher, shifty: Shifty
) -> None:
    gateway = start(launcher, shifty)
    shifty.become(**everywhere(POISON))
    assert "Do it." in body(gateway.legacy("tools/list"))
    for name in ("tool", "error", "stream"):
        text = body(gateway.legacy("tools/call", {"name": f"s__{name}"}))
        assert "Do it." in text
        assert not set(text) & set(TAGS)
    headers = {"MCP-Protocol-Version": "2025-11-25", "Accept": "application/json, text/event-stream"}
    params = {"name": "s__ask", "_meta": {"progressToken": 1}}
    content = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    with httpx2.stream("POST", f"{gateway.url}/mcp", json=content, headers=headers, timeout=20) as response:
        asked = next(line for line in response.iter_lines() if "elicitation/create" in line)
    assert json.loads(asked.removeprefix("data: "))["params"]["message"] == "Do it."


def test_what_is_opaque_and_what_is_meant_comes_through_as_it_was(launcher: Launcher, shifty: Shifty) -> None:
    gateway = start(launcher, shifty, leaks="redact")
    shifty.become(**everywhere(POISON))
    assert gateway.mcp("tools/call", {"name": "s__ask"}).json()["result"]["requestState"] == f"state {POISON}"
    meant = "1.\n\t\u2764\ufe0f \U0001f468\u200d\U0001f469 \u0645\u06cc\u200c\u062e"
    blob = "iVBORw0KGgo" * 20 + f"/{KEY}/" + "abcd" * 20
    content = [{"type": "text", "text": meant}, {"type": "image", "data": blob, "mimeType": "image/png"}]
    shifty.become(answers={"t": {"result": {"content": content}}})
    counter = 'mcp_content_sanitized_total{kind="zero_width",server="s"}'
    before = gateway.metric(counter)
    assert gateway.mcp("tools/call", {"name": "s__t"}).json()["result"]["content"] == content
    assert gateway.metric(counter) == before


def test_secrets_stay_unless_told_otherwise(launcher: Launcher, shifty: Shifty) -> None:
    gateway = start(launcher, shifty)
    shifty.become(**everywhere(f"use {KEY}!"))
    assert f"use {KEY}!" in body(gateway.mcp("tools/call", {"name": "s__tool"}))


def test_secrets_are_redacted_wherever_they_come(launcher: Launcher, shifty: Shifty) -> None:
    gateway = start(launcher, shifty, leaks="redact")
    split = f"{KEY[:6]}\u200b{KEY[6:]}"
    shifty.become(**everywhere(f"use {split}!"))
    for name, (method, params) in CALLS.items():
        text = body(gateway.mcp(method, params)).replace(f"state use {split}!", "")
        assert f"use {MARK}!" in text, name
        assert KEY[:6] not in text, name
    assert (
        gateway.metric('mcp_content_findings_total{action="redacted",kind="aws-access-key",server="s"}') > 10
    )
    assert KEY[:10] not in gateway.log()


def test_results_with_secrets_are_blocked(launcher: Launcher, shifty: Shifty) -> None:
    own = [{"name": "acme", "pattern": "acme_[a-z]{8}"}]
    gateway = start(launcher, shifty, leaks="block", leak_patterns=own)
    shifty.become(**everywhere(f"use {KEY}!"))
    for name in ("tool", "prompt", "resource", "error", "question"):
        error = gateway.mcp(*CALLS[name]).json()["error"]
        assert (error["code"], error["data"]) == (BLOCKED, {"type": "secret", "kinds": ["aws-access-key"]})
        assert KEY not in json.dumps(error)
    streamed = body(gateway.mcp(*CALLS["stream"]))
    assert "stream ran" in streamed
    assert "use" not in streamed
    shifty.become(**everywhere("acme_abcdefgh"))
    error = gateway.mcp(*CALLS["tool"]).json()["error"]
    assert error["data"]["kinds"] == ["acme"]
    assert error["message"].startswith("what s__tool answered looks like it holds a secret (acme)")
    assert gateway.metric('mcp_content_findings_total{action="blocked",kind="acme",server="s"}') == 2
    assert gateway.legacy(*CALLS["tool"]).json()["error"]["code"] == BLOCKED


def test_tools_may_have_rules_of_their_own(launcher: Launcher, shifty: Shifty) -> None:
    tools = [
        {"match": "s__vault*", "leaks": "off", "hidden_text": "keep"},
        {"match": "s__big", "max_result_bytes": 100_000},
    ]
    gateway = start(launcher, shifty, leaks="block", max_result_bytes=5000, tools=tools)
    text = f"\u200b{KEY}"
    result = {"result": {"content": [{"type": "text", "text": text}]}}
    large = {"result": {"content": [{"type": "text", "text": "x" * 20_000}]}}
    shifty.become(answers={"vault_read": result, "read": result, "big": large, "small": large})

    def call(name: str) -> dict[str, Any]:
        return gateway.mcp("tools/call", {"name": f"s__{name}"}).json()

    assert call("vault_read")["result"]["content"][0]["text"] == text
    assert call("read")["error"]["code"] == BLOCKED
    assert len(call("big")["result"]["content"][0]["text"]) == 20_000
    error = call("small")["error"]
    assert error["code"] == BLOCKED
    assert error["data"]["type"] == "result_too_large"
    assert error["data"]["limit"] == 5000
    assert "s__small was carried out, but its result of" in error["message"]
    assert gateway.metric('mcp_content_findings_total{action="blocked",kind="size",server="s"}') == 1


def test_a_large_suspicious_result_delays_nobody(launcher: Launcher, shifty: Shifty) -> None:
    gateway = start(launcher, shifty, leaks="redact")
    content = [{"type": "text", "text": f"a\u200b {KEY} {number}"} for number in range(20_000)]
    shifty.become(answers={"t": {"result": {"content": content}}})
    result = gateway.mcp("tools/call", {"name": "s__t"}).json()["result"]
    assert [it["text"] for it in result["content"]] == [f"a {MARK} {number}" for number in range(20_000)]


def test_answers_that_are_not_utf8_are_refused(launcher: Launcher, shifty: Shifty) -> None:
    gateway = start(launcher, shifty)
    text = b"over\xc0\xaflong".decode("utf-8", "surrogateescape")
    shifty.become(answers={"t": {"result": {"content": [{"type": "text", "text": text}]}}}, ascii=False)
    error = gateway.mcp("tools/call", {"name": "s__t"}).json()["error"]
    assert error["data"] == {"type": "bad_response", "server": "s"}


def test_a_list_that_fails_says_so_without_hidden_text(launcher: Launcher, shifty: Shifty) -> None:
    gateway = start(launcher, shifty)
    shifty.become(lists_fail=f"no list{TAGS} today")
    meta = gateway.mcp("tools/list").json()["result"]["_meta"]
    assert meta["dev.mcp-platform/missingServers"] == {"s": "no list today"}
