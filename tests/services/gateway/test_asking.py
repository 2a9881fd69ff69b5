"""Callers of the older generation, asked for input and sent messages in the middle of a call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client
from mcp.types import ElicitRequestParams, ElicitResult

from services.gateway.messages import encode, raw
from services.gateway.session import MAX_SESSIONS, LogLevels, capabilities_of, session_id

if TYPE_CHECKING:
    from conftest import Gateway, Launcher, Tokens

ELICITS = {"elicitation": {}}
VERSION = {"MCP-Protocol-Version": "2025-11-25", "Accept": "application/json, text/event-stream"}


def connect(gateway: Gateway, capabilities: dict[str, Any], **headers: str) -> dict[str, str]:
    """The headers of a client's further requests."""
    params = {"protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": {}}
    response = gateway.legacy("initialize", params, **headers)
    session = response.headers.get("mcp-session-id")
    return {**VERSION, **headers, **({"Mcp-Session-Id": session} if session else {})}


@contextmanager
def calling(gateway: Gateway, tool: str, headers: dict[str, str]) -> Generator[Iterator[dict[str, Any]]]:
    """The messages of a call's stream, as they come."""
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": {}}}
    with httpx2.stream("POST", f"{gateway.url}/mcp", json=body, headers=headers, timeout=20) as response:
        assert response.headers["content-type"] == "text/event-stream"
        yield (json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: "))


def reply(gateway: Gateway, headers: dict[str, str], **content: Any) -> httpx2.Response:
    return httpx2.post(f"{gateway.url}/mcp", json={"jsonrpc": "2.0", **content}, headers=headers)


def accepted(color: str) -> dict[str, Any]:
    return {"action": "accept", "content": {"color": color}}


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("server", ["alpha", "beta"])
def test_a_tool_that_asks_its_caller(gateway: Gateway, mode: str, server: str) -> None:
    async def answer(context: object, params: ElicitRequestParams) -> ElicitResult:
        assert context
        assert params.message == "Which color?"
        return ElicitResult(action="accept", content={"color": "blue"})

    async def call() -> str:
        async with Client(f"{gateway.url}/mcp", mode=mode, elicitation_callback=answer) as client:
            return (await client.call_tool(f"{server}__paint", {})).content[0].text  # pyright: ignore[reportAttributeAccessIssue] - it is text

    assert asyncio.run(call()) == "blue"


def test_a_client_that_cant_be_asked_gets_the_servers_error(gateway: Gateway) -> None:
    headers = connect(gateway, {})
    said = gateway.legacy("tools/call", {"name": "alpha__paint"}, **headers)
    assert said.json()["error"]["code"] == -32021
    no_stream = {**connect(gateway, ELICITS), "Accept": "application/json"}
    refused = gateway.legacy("tools/call", {"name": "alpha__paint"}, **no_stream)
    assert refused.json()["error"]["code"] == -32021


def test_only_who_was_asked_answers(guarded: Gateway, tokens: Tokens) -> None:
    mine = connect(guarded, ELICITS, Authorization=f"Bearer {tokens.make(sub='ada')}")
    other = {**mine, "Authorization": f"Bearer {tokens.make(sub='eve')}"}
    with calling(guarded, "alpha__paint", mine) as messages:
        asked = next(messages)
        assert (asked["method"], asked["params"]["message"]) == ("elicitation/create", "Which color?")
        for headers, request_id in ((other, asked["id"]), (mine, "guessed"), (mine, 1)):
            refused = reply(guarded, headers, id=request_id, result=accepted("black"))
            assert (refused.status_code, refused.json()["error"]["code"]) == (400, -32600)
        anonymous = {name: value for name, value in mine.items() if name != "Authorization"}
        assert reply(guarded, anonymous, id=asked["id"], result=accepted("black")).status_code == 401
        assert reply(guarded, mine, id=asked["id"], result=accepted("white")).status_code == 202
        assert next(messages)["result"]["content"][0]["text"] == "white"
    assert reply(guarded, mine, id=asked["id"], result=accepted("late")).status_code == 400


def test_a_client_that_refuses_ends_the_call(gateway: Gateway) -> None:
    headers = connect(gateway, ELICITS)
    with calling(gateway, "alpha__paint", headers) as messages:
        request_id = next(messages)["id"]
        refusal = {"code": -1, "message": "not now"}
        assert reply(gateway, headers, id=request_id, error=refusal).status_code == 202
        assert "not now" in next(messages)["error"]["message"]


def test_an_answer_that_never_comes(launcher: Launcher, alpha: str) -> None:
    servers = [{"name": "alpha", "urls": [alpha]}]
    gateway = launcher.gateway({"auth": "none", "servers": servers, "requests": {"input_seconds": 0.5}})
    with calling(gateway, "alpha__paint", connect(gateway, ELICITS)) as messages:
        assert next(messages)["method"] == "elicitation/create"
        error = next(messages)["error"]
    assert (error["code"], "0.5 s" in error["message"]) == (-32001, True)


def test_messages_come_from_the_level_that_was_set(gateway: Gateway) -> None:
    headers = connect(gateway, ELICITS)

    def levels() -> list[str]:
        with calling(gateway, "beta__chat", headers) as messages:
            return [it["params"]["level"] for it in messages if it.get("method") == "notifications/message"]

    assert levels() == ["info", "error"]
    for level, expected in (("error", ["error"]), ("debug", ["debug", "info", "error"])):
        assert gateway.legacy("logging/setLevel", {"level": level}, **headers).json()["result"] == {}
        assert levels() == expected
    for wrong in ({}, {"level": "loud"}, {"level": 5}):
        assert gateway.legacy("logging/setLevel", wrong, **headers).json()["error"]["code"] == -32602


@given(st.binary())
def test_foreign_sessions_say_nothing(session: bytes) -> None:
    assert capabilities_of(session) == {} or session.startswith(b"ey")


def test_sessions_carry_what_the_client_can() -> None:
    said = {name: raw({"form": {}}) for name in ("elicitation", "sampling", "roots", "experimental")}
    carried = capabilities_of(session_id(said))
    assert encode(carried) == encode({name: {"form": {}} for name in ("elicitation", "roots", "sampling")})
    assert session_id({}) is None
    assert session_id({"elicitation": raw("x" * 2000)}) is None
    assert capabilities_of(session_id({"elicitation": raw("x" * 2000)}, always=True)) == {}
    assert session_id(said) != session_id(said)


def test_log_levels_are_kept_for_so_many_sessions_only() -> None:
    levels = LogLevels()
    for number in range(MAX_SESSIONS + 5):
        levels.set(b"%d" % number, "error")
    levels.set(b"x" * 5000, "error")
    levels.set(None, "error")
    assert len(levels) == MAX_SESSIONS
    assert (levels.of(b"0"), levels.of(b"%d" % MAX_SESSIONS), levels.of(None)) == ("info", "error", "info")
