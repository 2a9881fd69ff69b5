"""Which calls wait for approval, how it is asked for and given, in both generations."""

from __future__ import annotations

import asyncio
import io
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from mcp import Client, MCPError
from mcp.client.session import ElicitationFnT
from mcp.types import ElicitRequestParams, ElicitResult

from cli import gateway_client
from cli.approving import asking
from infra.errors import PlatformError
from services.gateway.cache.rules import Rules
from services.gateway.config_cache import Cache as CacheSettings
from services.gateway.fleet import Server
from services.gateway.list_parts import LISTS, Part, PartReader
from services.gateway.messages import RawObject, raw
from services.gateway.names import PrefixedNames
from services.gateway.tool_hints import CONTRADICTION, UNSAID, Hints, hints_of
from tests.services.gateway.risky import (
    ACCEPT,
    FORMS,
    KEY,
    Risky,
    approve,
    asked,
    call,
    done,
    outcome,
)

if TYPE_CHECKING:
    from conftest import Gateway, Launcher, Tokens

EVERY = ("read", "gentle", "plain", "erase", "put", "wipe", "muddled", "unlisted")
ASKED = {
    "explicit": {"erase", "put", "wipe", "muddled"},
    "default": {"erase", "put", "wipe", "muddled", "plain", "unlisted"},
    "off": set[str](),
}
ARGUMENTS = {"path": "a/b.txt", "force": True}
MESSAGE = """\
Allow the tool erase of the server risky to run?
Arguments:
  path = "a/b.txt"
  force = true"""


@pytest.fixture(scope="module")
def risky(shared: Launcher) -> Risky:
    return Risky(f"http://127.0.0.1:{shared.program('risky_server')}")


@pytest.fixture(scope="module")
def careful(shared: Launcher, risky: Risky) -> Gateway:
    return shared.gateway({"auth": "none", "servers": risky.servers})


@pytest.fixture
def own(launcher: Launcher) -> Risky:
    return Risky(f"http://127.0.0.1:{launcher.program('risky_server')}")


@pytest.mark.parametrize("reading", ASKED)
def test_annotations_say_what_is_asked_for(launcher: Launcher, risky: Risky, reading: str) -> None:
    gateway = launcher.gateway(
        {"auth": "none", "servers": risky.servers, "approval": {"by_annotation": reading}}
    )
    before = len(risky.seen)
    answers = {tool: call(gateway, tool).json()["result"] for tool in EVERY}
    assert {tool for tool, it in answers.items() if KEY in it.get("inputRequests", {})} == ASKED[reading]
    assert {it["name"] for it in risky.seen[before:]} == set(EVERY) - ASKED[reading]


def test_what_was_approved_is_carried_out_as_it_was_asked(careful: Gateway, risky: Risky) -> None:
    before = (len(risky.seen), outcome(careful, "approved"))
    response = call(careful, "erase", ARGUMENTS)
    assert response.status_code == 200
    (question,) = response.json()["result"]["inputRequests"].values()
    assert question == {
        "method": "elicitation/create",
        "params": {
            "mode": "form",
            "message": MESSAGE,
            "requestedSchema": {"type": "object", "properties": {}},
        },
    }
    assert len(risky.seen) == before[0]
    reordered = dict(reversed(ARGUMENTS.items()))
    assert done(approve(careful, "erase", asked(response), reordered))
    assert risky.seen[before[0] :] == [{"name": "erase", "arguments": ARGUMENTS}]
    assert outcome(careful, "approved") == before[1] + 1


@pytest.mark.parametrize(("action", "word"), [("decline", "declined"), ("cancel", "cancelled")])
def test_a_no_is_a_typed_refusal(careful: Gateway, risky: Risky, action: str, word: str) -> None:
    before = len(risky.seen)
    state = asked(call(careful, "erase"))
    answer = call(careful, "erase", requestState=state, inputResponses={KEY: {"action": action}})
    error = answer.json()["error"]
    assert (error["code"], error["data"]) == (-32017, {"type": "approval", "outcome": word})
    assert len(risky.seen) == before
    assert outcome(careful, word) >= 1


@pytest.mark.parametrize("answers", [{}, {"inputResponses": {}}, {"inputResponses": {"why": {}}}])
def test_without_an_answer_it_is_asked_again(careful: Gateway, answers: dict[str, Any]) -> None:
    state = asked(call(careful, "erase"))
    again = asked(call(careful, "erase", requestState=state, **answers))
    assert again != state
    assert done(approve(careful, "erase", again))


def test_an_answer_to_no_question_approves_nothing(careful: Gateway) -> None:
    asked(call(careful, "erase", inputResponses=ACCEPT))


@pytest.mark.parametrize("answer", [1, {"action": 1}, {}, [], None])
def test_an_answer_that_is_none_is_refused(careful: Gateway, answer: Any) -> None:
    state = asked(call(careful, "erase"))
    response = call(careful, "erase", requestState=state, inputResponses={KEY: answer})
    assert (response.status_code, response.json()["error"]["code"]) == (400, -32602)


@pytest.mark.parametrize(
    "capabilities",
    [{}, {"elicitation": {"url": {}}}, {"elicitation": None}, {"elicitation": {"form": 1}}, {"sampling": {}}],
)
def test_a_client_that_cant_ask_is_refused(
    careful: Gateway, risky: Risky, capabilities: dict[str, Any]
) -> None:
    before = len(risky.seen)
    meta = {"io.modelcontextprotocol/clientCapabilities": capabilities}
    response = call(careful, "erase", meta=meta)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["code"] == -32021
    assert error["data"] == {"requiredCapabilities": {"elicitation": {"form": {}}}}
    older = careful.legacy("tools/call", {"name": "risky__erase"})
    assert older.json()["error"]["code"] == -32021
    assert len(risky.seen) == before
    assert done(call(careful, "read", meta=meta))


def test_a_client_that_names_no_mode_means_forms(careful: Gateway) -> None:
    asked(call(careful, "erase", meta={"io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}}))


def test_arguments_that_can_be_read_in_two_ways_are_refused(careful: Gateway, risky: Risky) -> None:
    before = len(risky.seen)
    body = json.dumps(
        {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {
                "name": "risky__erase",
                "arguments": "ARGUMENTS",
                "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28", **FORMS},
            },
        }
    )
    for arguments in ('{"path": "shown", "path": "meant"}', '{"a": {"b": 1, "b": 2}}', "[]", '{"a": 1e999}'):
        response = careful.post(body.replace('"ARGUMENTS"', arguments), "tools/call", "risky__erase")
        assert response.json()["error"]["code"] == -32602, response.text
    assert len(risky.seen) == before


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("action", ["accept", "decline"])
def test_the_official_client(careful: Gateway, risky: Risky, mode: str, action: Any) -> None:
    messages: list[str] = []

    async def answer(context: object, params: ElicitRequestParams) -> ElicitResult:
        assert context
        messages.append(params.message)
        return ElicitResult(action=action, content={} if action == "accept" else None)

    async def use() -> str | int:
        async with Client(f"{careful.url}/mcp", mode=mode, elicitation_callback=answer) as client:
            try:
                result = await client.call_tool("risky__erase", ARGUMENTS)
            except MCPError as error:
                return error.code
            return result.content[0].text  # pyright: ignore[reportAttributeAccessIssue] - it is text

    before = len(risky.seen)
    assert asyncio.run(use()) == ("erase done" if action == "accept" else -32017)
    came = [{"name": "erase", "arguments": ARGUMENTS}] if action == "accept" else []
    assert risky.seen[before:] == came
    assert messages == [MESSAGE]


@pytest.mark.parametrize(("answer", "text"), [("y", "erase done"), ("n", "wasn't approved")])
def test_mcpctl_asks_on_the_terminal(
    careful: Gateway,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: str,
    text: str,
) -> None:
    terminal = io.StringIO(f"{answer}\n")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    assert text in by_mcpctl(careful, "erase", asking(approve=False))
    assert MESSAGE in capsys.readouterr().err


def test_mcpctl_approves_where_it_is_told_to(careful: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert by_mcpctl(careful, "erase", asking(approve=True)) == "erase done"
    assert asking(approve=False) is None
    refused = by_mcpctl(careful, "erase", None)
    assert "elicitation (form) is missing" in refused
    assert refused.endswith("call it on a terminal, or say --approve")


def by_mcpctl(gateway: Gateway, tool: str, ask: ElicitationFnT | None) -> str:
    async def action(client: Client) -> str:
        return (await client.call_tool(f"risky__{tool}", ARGUMENTS)).content[0].text  # pyright: ignore[reportAttributeAccessIssue] - it is text

    try:
        return gateway_client.run(gateway.url, "none", action, ask=ask)
    except PlatformError as error:
        return f"{error}; {error.hint}"


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_server_that_asks_as_well(careful: Gateway, risky: Risky, mode: str) -> None:
    messages: list[str] = []

    async def answer(context: object, params: ElicitRequestParams) -> ElicitResult:
        assert context
        messages.append(params.message.split("\n")[0])
        return ElicitResult(action="accept", content={})

    async def use() -> str:
        async with Client(f"{careful.url}/mcp", mode=mode, elicitation_callback=answer) as client:
            result = await client.call_tool("risky__wipe", ARGUMENTS)
            return result.content[0].text  # pyright: ignore[reportAttributeAccessIssue] - it is text

    before = len(risky.seen)
    assert asyncio.run(use()) == "wipe done"
    assert messages == ["Allow the tool wipe of the server risky to run?", "Why?"]
    first, second, third = risky.seen[before:]
    assert set(first) == {"name", "arguments"}
    assert second["requestState"] == "one /é+=\U0001f98e"
    assert set(second["inputResponses"]) == {"why"}
    assert third["requestState"] == "two"


def test_a_tool_of_the_official_sdk_that_asks_as_well(
    launcher: Launcher, beta: list[str], tmp_path: Path
) -> None:
    """Its own sealed state passes through ours untouched, over two replicas."""
    file = tmp_path / "policy.yaml"
    allow = {"effect": "allow", "groups": ["*"], "servers": ["*"], "tools": ["*"]}
    file.write_text(json.dumps({"rules": [allow, {**allow, "effect": "ask", "tools": ["paint"]}]}))
    gateway = launcher.gateway(
        {
            "auth": "none",
            "servers": [{"name": "beta", "urls": beta}],
            "authorization": {"policy_file": str(file)},
        }
    )

    async def answer(context: object, params: ElicitRequestParams) -> ElicitResult:
        assert context
        content = {"color": "blue"} if params.message == "Which color?" else {}
        return ElicitResult(action="accept", content=content)  # pyright: ignore[reportArgumentType] - it is a dict of text

    async def use(mode: Any) -> str:
        async with Client(f"{gateway.url}/mcp", mode=mode, elicitation_callback=answer) as client:
            return (await client.call_tool("beta__paint", {})).content[0].text  # pyright: ignore[reportAttributeAccessIssue] - it is text

    assert [asyncio.run(use(mode)) for mode in ("auto", "legacy")] == ["blue", "blue"]
    assert outcome(gateway, "approved") == 2


def rule(effect: str, *tools: str, **more: Any) -> dict[str, Any]:
    return {"effect": effect, "groups": ["*"], "servers": ["risky"], "tools": list(tools), **more}


def test_the_policy_asks_waives_and_denies(
    launcher: Launcher, risky: Risky, tokens: Tokens, tmp_path: Path
) -> None:
    file = tmp_path / "policy.yaml"
    robots = {"groups": ["robots"], "approval": "waived"}
    rules = [
        rule("allow", "*"),
        rule("ask", "read", "put", "gentle"),
        rule("allow", "erase", "put", **robots),
        rule("allow", "wipe", approval="waived", scopes=["wipe:alone"]),
        rule("deny", "gentle"),
    ]
    members = [{"issuer": "https://issuer.test", "subject": "robot-*"}]
    content = {"groups": {"robots": {"members": members}}, "rules": rules}
    file.write_text(json.dumps(content))
    authorization = {"policy_file": str(file), "reload_seconds": 0.05}
    gateway = launcher.gateway(
        {"auth": tokens.auth, "servers": risky.servers, "authorization": authorization}
    )

    def outcomes(**claims: Any) -> dict[str, str]:
        token = tokens.make(**claims)
        answers = {tool: call(gateway, tool, token=token).json() for tool in EVERY[:6]}
        return {tool: it.get("result", {}).get("resultType", "refused") for tool, it in answers.items()}

    human = {"read": "input_required", "gentle": "refused", "plain": "complete"}
    human |= {"erase": "input_required", "put": "input_required", "wipe": "input_required"}
    assert outcomes() == human
    assert outcomes(sub="robot-1") == {**human, "erase": "complete"}
    # What is waived is waived for those with the rule's scopes; `wipe` then asks by itself.
    wiping = tokens.make(scope="mcp:call wipe:alone")
    assert list(call(gateway, "wipe", token=wiping).json()["result"]["inputRequests"]) == ["why"]
    file.with_suffix(".new").write_text(json.dumps({**content, "rules": [rule("allow", "*"), *rules[2:]]}))
    file.with_suffix(".new").rename(file)
    loaded = 'mcp_gateway_policy_reloads_total{outcome="loaded"}'
    gateway.wait_for(lambda: gateway.metric(loaded), "the new policy")
    assert outcomes(sub="robot-1") == {**human, "erase": "complete", "put": "complete", "read": "complete"}


def test_a_server_that_lists_nothing_is_not_called(launcher: Launcher, own: Risky) -> None:
    own.listing(works=False)
    gateway = launcher.gateway({"auth": "none", "servers": own.servers})
    error = call(gateway, "read").json()["error"]
    assert "whether this one needs approval isn't known" in error["message"]
    assert error["data"]["type"] == "unavailable"
    assert own.seen == []
    assert outcome(gateway, "unknown") == 1
    own.listing(works=True)
    assert done(call(gateway, "read"))
    own.listing(works=False)
    assert done(call(gateway, "read"))


def test_the_list_is_asked_for_once_not_for_every_call(launcher: Launcher, own: Risky) -> None:
    gateway = launcher.gateway({"auth": "none", "servers": own.servers})
    for _ in range(5):
        assert done(call(gateway, "plain"))
        asked(call(gateway, "erase"))
    for _ in range(3):
        assert done(call(gateway, "unlisted"))
    assert own.lists == 1


@pytest.mark.parametrize(
    ("tool", "hints"),
    [
        ({}, UNSAID),
        ({"annotations": raw(None)}, UNSAID),
        ({"annotations": raw({"readOnlyHint": None, "title": "x"})}, UNSAID),
        ({"annotations": raw({"destructiveHint": False})}, Hints(destructive=False)),
        ({"annotations": raw({"destructiveHint": "no"})}, Hints(destructive=True)),
        ({"annotations": raw([])}, Hints(destructive=True)),
    ],
)
def test_annotations_that_are_none_get_the_worst_reading(tool: RawObject, hints: Hints) -> None:
    assert hints_of(tool) == hints


def test_a_tool_that_is_listed_twice_gets_the_worst_reading() -> None:
    reader = PartReader(PrefixedNames(), Rules(CacheSettings()))
    same = {"name": "same", "annotations": {"idempotentHint": True}}
    double = {"name": "double", "annotations": {"readOnlyHint": True}}
    listed = [double, same, same, {**double, "annotations": {"destructiveHint": True}}, double]
    part = Part()
    reader.add_page(part, "s", {"tools": raw(listed), "ttlMs": raw(60_000)}, LISTS["tools/list"])
    assert part.hints == {"double": CONTRADICTION, "same": Hints(idempotent=True)}
    assert part.repeatable == {"same"}
    assert part.ttl_ms == 0, "nobody keeps half of it"
    consistent = Part()
    reader.add_page(consistent, "s", {"tools": raw([same, same]), "ttlMs": raw(9)}, LISTS["tools/list"])
    kept = reader.read(reader.write(consistent), "s", LISTS["tools/list"])
    assert (kept.hints, consistent.ttl_ms) == (consistent.hints, 9)


def learned() -> Server:
    server = Server("s", 1)
    server.set_endpoints(["http://a"])
    server.hints.learn({"erase": Hints(destructive=True)})
    return server


@pytest.mark.parametrize(
    ("urls", "known"), [(["http://a"], True), (["http://a", "http://b"], False), (["http://b"], False)]
)
def test_what_is_known_of_a_server_is_forgotten_with_its_replicas(urls: list[str], known: bool) -> None:
    server = learned()
    server.set_endpoints(urls)
    assert (server.hints.fresh("erase") is not None) == known
    assert server.hints.fresh("other") == (UNSAID if known else None)


def test_what_is_known_of_a_server_grows_old(monkeypatch: pytest.MonkeyPatch) -> None:
    server, now = learned(), time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 6)
    assert server.hints.fresh("other") is None, "it may be new"
    monkeypatch.setattr(time, "monotonic", lambda: now + 299)
    assert server.hints.fresh("erase") == Hints(destructive=True)
    monkeypatch.setattr(time, "monotonic", lambda: now + 301)
    assert server.hints.fresh("erase") is None


def test_who_waits_for_a_list_shares_it() -> None:
    async def use() -> tuple[list[str | None], int]:
        server, asked = learned(), 0

        async def ask() -> str:
            nonlocal asked
            asked += 1
            await asyncio.sleep(0.05)
            return "gone"

        answers = await asyncio.gather(*(server.hints.refresh(ask) for _ in range(5)))
        await server.hints.refresh(ask)
        return answers, asked

    assert asyncio.run(use()) == (["gone"] * 5, 2)
