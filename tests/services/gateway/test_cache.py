"""What callers see of the response cache: whose an answer is, and what is kept at all."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
import yaml
from mcp import Client

from tests.services.gateway.caching import (
    CAPABILITIES,
    KEPT,
    VERSION,
    Counting,
    by,
    call,
    hits,
    names,
    requests,
    wait_until_shared,
)

if TYPE_CHECKING:
    from conftest import Gateway, Launcher, RedisServer, Tokens

    from tests.services.gateway.caching import Start


def test_a_result_is_kept_where_a_rule_says_so_and_only_there(start: Start, counting: Counting) -> None:
    gateway = start({"match": "counting__count"})
    assert [call(gateway) for _ in range(3)] == ["1", "1", "1"]
    assert [call(gateway, "other") for _ in range(2)] == ["2", "3"]
    assert len(counting.asked()) == 3
    assert (requests(gateway), hits(gateway)) == (3, 2)
    assert gateway.metric("mcp_cache_entries") == 1
    assert 512 < gateway.metric("mcp_cache_bytes") < 4096
    assert gateway.metric('mcp_tool_calls_total{server="counting",status="ok",tool="count"}') == 3


def test_what_is_kept_is_the_whole_answer_and_has_the_request_s_id(start: Start) -> None:
    gateway = start(KEPT)
    first, second = (
        gateway.mcp("tools/call", {"name": "counting__count"}, id=it).json() for it in ("a", "b")
    )
    assert (first.pop("id"), second.pop("id")) == ("a", "b")
    assert first == second
    assert first["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "mcp-gateway"
    assert first["result"]["resultType"] == "complete"
    assert [line["cached"] for line in gateway.logged("request", name="count")] == ["", "l1"]


def test_a_private_result_is_for_its_principal_alone(
    start: Start, tokens: Tokens, redis_server: RedisServer
) -> None:
    gateway = start(KEPT, auth=tokens.auth, redis=redis_server.patient_settings)
    ada, bob = by(tokens, sub="ada"), by(tokens, sub="bob")
    assert [call(gateway, **it) for it in (ada, bob, ada, bob)] == ["1", "2", "1", "2"]
    assert call(gateway, **by(tokens, sub="ada", exp=int(time.time()) + 999)) == "1"


def test_a_public_result_is_for_everybody_who_may_call(start: Start, tokens: Tokens, tmp_path: Path) -> None:
    gateway = start(
        {"match": "counting__*", "scope": "public"},
        auth=tokens.auth,
        authorization=policy(tmp_path, ops=["ada", "bob"]),
    )
    assert [call(gateway, **by(tokens, sub=it)) for it in ("ada", "bob")] == ["1", "1"]
    assert call(gateway, **by(tokens, sub="eve"))["message"] == "Unknown tool: counting__count"
    assert call(gateway, **by(tokens, sub="ada", scope="mcp:read"))["code"] == -32011


def policy(folder: Path, **groups: list[str]) -> dict[str, Any]:
    file = folder / "policy.yaml"
    everything = {"effect": "allow", "servers": ["*"], "tools": ["*"], "groups": list(groups)}
    members = {name: {"members": [{"subject": it} for it in subjects]} for name, subjects in groups.items()}
    file.write_text(yaml.safe_dump({"groups": members, "rules": [everything]}))
    return {"policy_file": str(file), "reload_seconds": 0.1}


def test_another_role_is_another_partition(start: Start, tokens: Tokens) -> None:
    gateway = start(KEPT, auth=tokens.auth)
    roles: list[dict[str, Any]] = [
        {},
        {"scope": "mcp:read mcp:call admin"},
        {"groups": ["sre"]},
        {"groups": ["sre", "dev"]},
        {},
        {"groups": ["dev", "sre"]},
    ]
    assert [call(gateway, **by(tokens, **role)) for role in roles] == ["1", "2", "3", "4", "1", "4"]


def test_another_group_of_the_policy_is_another_role(start: Start, tokens: Tokens, tmp_path: Path) -> None:
    settings = policy(tmp_path, one=["ada"], two=["bob"])
    gateway = start(KEPT, auth=tokens.auth, authorization=settings)
    assert [call(gateway, **by(tokens)) for _ in range(2)] == ["1", "1"]
    policy(tmp_path, one=["ada"], two=["ada", "bob"])
    gateway.wait_for(lambda: call(gateway, **by(tokens)) == "2", "another answer in the new role")


def test_an_answer_that_asks_for_input_is_never_cached(start: Start, counting: Counting) -> None:
    """Neither that of a tool by rule, nor that of a resource which its server calls fresh for everybody."""
    gateway = start(KEPT)
    counting.set(ttlMs=60_000, cacheScope="public")
    asking = [("tools/call", {"name": "counting__ask"}), ("resources/read", {"uri": "counting+note://ask"})]
    for method, params in asking * 3:
        assert gateway.mcp(method, params).json()["result"]["resultType"] == "input_required"
    assert len(counting.asked()) == 6
    assert gateway.metric("mcp_cache_entries") == 0
    retry = {"inputResponses": {}, "requestState": "opaque"}
    for method, params in asking * 2:
        assert "result" in gateway.mcp(method, {**params, **retry}).json()
    assert len(counting.asked()) == 10
    assert gateway.metric("mcp_cache_entries") == 0


@pytest.mark.parametrize("tool", ["ask", "task", "fail", "error", "unsaid"])
def test_what_is_not_a_complete_success_is_not_kept(start: Start, counting: Counting, tool: str) -> None:
    gateway = start(KEPT)
    for _ in range(2):
        gateway.mcp("tools/call", {"name": f"counting__{tool}"})
    assert len(counting.asked()) == 2
    assert gateway.metric("mcp_cache_entries") == 0


@pytest.mark.parametrize("extra", [{"requestState": "opaque"}, {"inputResponses": {}}, {"task": {"ttl": 1}}])
def test_a_further_round_neither_takes_what_is_kept_nor_is_kept(start: Start, extra: dict[str, Any]) -> None:
    gateway = start(KEPT)
    assert call(gateway) == "1"
    assert [call(gateway, params=extra) for _ in range(2)] == ["2", "3"]
    assert call(gateway) == "1"


@pytest.mark.parametrize("shared", [False, True])
def test_a_kept_result_expires(start: Start, redis_server: RedisServer, *, shared: bool) -> None:
    rule = {"match": "counting__count", "ttl_seconds": 0.4}
    gateway = start(rule, KEPT, redis=redis_server.patient_settings if shared else None)
    if shared:
        wait_until_shared(gateway, redis_server)
    first = call(gateway)
    gateway.wait_for(lambda: call(gateway) != first, "a new answer")


def test_zero_seconds_is_never(start: Start) -> None:
    gateway = start({"match": "counting__count", "ttl_seconds": 0}, KEPT)
    assert [call(gateway) for _ in range(2)] == ["1", "2"]
    assert requests(gateway) == 0


def test_arguments_are_compared_by_what_they_mean(start: Start, counting: Counting) -> None:
    gateway = start(KEPT)
    same = [
        '{"a": 1, "b": {"c": 1.5, "d": "é"}}',
        '{"b":{"d":"\\u00e9","c":15e-1},"a":1}',
        '{"a":0,"a":1,"b":{"c":1.5,"d":"é"}}',
    ]
    other = [
        '{"a": 1.0, "b": {"c": 1.5, "d": "é"}}',
        '{"a": true, "b": {"c": 1.5, "d": "é"}}',
        '{"a": "1"}',
        "{}",
    ]
    assert [raw_call(gateway, text) for text in same] == ["1", "1", "1"]
    assert [raw_call(gateway, text) for text in other] == ["2", "3", "4", "5"]
    assert call(gateway) == "5"  # no arguments are none
    # The server was asked what the key says: nobody can plant an answer under other arguments.
    assert counting.asked()[0] == ["count", {"a": 1, "b": {"c": 1.5, "d": "é"}}]


def raw_call(gateway: Gateway, arguments: str) -> str:
    meta = f'{{"{VERSION}":"2026-07-28","{CAPABILITIES}":{{}}}}'
    params = f'{{"name":"counting__count","arguments":{arguments},"_meta":{meta}}}'
    headers = {
        "Content-Type": "application/json",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": "counting__count",
    }
    content = f'{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}'.encode()
    response = httpx2.post(f"{gateway.url}/mcp", content=content, headers=headers)
    return response.json()["result"]["content"][0]["text"]


def test_how_a_call_is_followed_makes_no_difference_but_what_else_it_says_does(
    start: Start,
) -> None:
    gateway = start(KEPT)
    trace = {"traceparent": f"00-{'1' * 32}-{'2' * 16}-01", "tracestate": "a=1", "baggage": "b=2"}
    metas: list[dict[str, Any]] = [
        {},
        trace,
        {"progressToken": 5, **trace},
        {"io.modelcontextprotocol/clientInfo": {"name": "x", "version": "1"}},
    ]
    assert [call(gateway, meta=meta) for meta in metas] == ["1"] * 4
    others: list[dict[str, Any]] = [
        {CAPABILITIES: {"elicitation": {}}},
        {"com.example/tenant": "a"},
        {"com.example/tenant": "b"},
    ]
    assert [call(gateway, meta=meta) for meta in others] == ["2", "3", "4"]


def test_another_version_of_the_server_is_asked_anew(start: Start, counting: Counting) -> None:
    gateway = start(KEPT)
    counting.set(ttlMs=60_000)
    assert [call(gateway) for _ in range(2)] == ["1", "1"]
    tools = names(gateway)
    counting.set(version="2")
    gateway.wait_for(lambda: call(gateway) != "1", "the new version's answer")
    assert names(gateway) != tools
    assert gateway.logged("release changed")[-1]["release"] == ["2"]


def test_an_answer_to_a_call_tells_of_the_version_at_once(start: Start, counting: Counting) -> None:
    gateway = start({"match": "counting__count"}, upstream={"probe_seconds": 600})
    assert call(gateway) == "1"
    counting.set(version="2")
    assert call(gateway, "other") == "2"
    assert call(gateway) == "3"


def place(gateway: Gateway, region: str, headers: dict[str, str]) -> Any:
    arguments = {"region": region, "rack": 7}
    response = gateway.mcp("tools/call", {"name": "alpha__place", "arguments": arguments}, headers=headers)
    return response.status_code, response.json().get("error", {}).get("code")


def test_headers_that_differ_from_the_arguments_are_refused_though_the_answer_is_kept(
    launcher: Launcher, alpha: str
) -> None:
    servers = [{"name": "alpha", "urls": [alpha]}]
    rules = [{"match": "*", "scope": "public"}]
    gateway = launcher.gateway({"auth": "none", "servers": servers, "cache": {"tools": rules}})
    right = {"Mcp-Param-Region": "eu", "Mcp-Param-Rack": "7"}
    # The older generation has no such headers: the gateway puts them in, and keeps the answer.
    arguments = {"region": "eu", "rack": 7}
    for _ in range(2):
        older = gateway.legacy("tools/call", {"name": "alpha__place", "arguments": arguments}).json()
        assert older["result"]["content"][0]["text"] == "eu 7"
    assert [place(gateway, "eu", right) for _ in range(2)] == [(200, None)] * 2
    assert hits(gateway, server="alpha") == 2
    for wrong in (
        {},
        {"Mcp-Param-Region": "eu"},
        {**right, "Mcp-Param-Region": "us"},
        {**right, "Mcp-Param-Rack": "8"},
        {**right, "Mcp-Name": "alpha__add"},
        {**right, "Mcp-Method": "tools/list"},
    ):
        assert place(gateway, "eu", wrong) == (400, -32020)
    assert place(gateway, "us", right) == (400, -32020)
    assert hits(gateway, server="alpha") == 2


def test_limits_count_what_is_kept(start: Start) -> None:
    gateway = start(KEPT, limits={"principal": {"per_second": 0.01, "burst": 2}})
    assert [call(gateway) for _ in range(2)] == ["1", "1"]
    assert call(gateway)["code"] == -32013


def test_only_servers_that_are_trusted_may_say_that_their_tools_can_be_kept(
    start: Start, counting: Counting
) -> None:
    counting.set(hints={"ttlSeconds": 100, "scope": "public"})
    distrustful = start()
    names(distrustful)
    assert len({call(distrustful) for _ in range(2)}) == 2
    gateway = start({"match": "counting__other", "ttl_seconds": 0}, cache={"trusted_servers": ["count*"]})
    first = call(gateway)  # nobody listed the tools before
    assert call(gateway) == first
    assert len({call(gateway, "unlisted") for _ in range(2)}) == 2
    assert counting.asked().count(["tools/list"]) == 2
    counting.set(version="2", hints={})
    gateway.wait_for(lambda: call(gateway) != first, "a new answer")
    assert len({call(gateway) for _ in range(2)}) == 2


def test_a_server_that_cannot_list_its_tools_is_not_asked_to_each_time(
    start: Start, counting: Counting
) -> None:
    gateway = start(cache={"trusted_servers": ["*"]})
    counting.set(broken=True)
    for _ in range(3):
        assert call(gateway)["code"] == -32602
    assert counting.asked().count(["tools/list"]) == 1


def test_clients_of_both_generations_are_answered_with_what_is_kept(start: Start) -> None:
    gateway = start(KEPT)

    async def ask(mode: Any) -> list[Any]:
        async with Client(f"{gateway.url}/mcp", mode=mode) as client:
            return [(await client.call_tool("counting__count")).content for _ in range(2)]

    for mode in ("2026-07-28", "legacy"):
        first, second = asyncio.run(ask(mode))
        assert first == second
    assert hits(gateway) == 2
