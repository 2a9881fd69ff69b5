"""The policy through the gateway: who sees and may use what, on every route, in both generations."""

from __future__ import annotations

import itertools
import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

if TYPE_CHECKING:
    from conftest import Gateway, Launcher, Tokens

POLICY = """\
groups:
  operators:
    members:
      - {issuer: "https://issuer.test", claims: {groups: [sre]}}
  agents:
    members:
      - {subject: "system:serviceaccount:agents:*"}
    scopes: [mcp:read, mcp:call]
rules:
  - {effect: allow, groups: ["*"], servers: [alpha], tools: [add, which], prompts: ["*"]}
  - {effect: allow, groups: [operators], servers: [alpha], tools: ["*"], resources: ["note://*"]}
  - {effect: allow, groups: [operators], servers: [odd], tools: ["*"]}
  - {effect: deny, groups: ["*"], servers: [alpha], tools: [fail]}
  - {effect: allow, groups: [agents], servers: [alpha], tools: [slow], scopes: [slow:use, slow:wait]}
  - {effect: allow, groups: [agents], servers: [alpha], resources: ["note://by/*"]}
  - {effect: deny, groups: [agents], servers: ["*"], resources: ["note://by/secret*"]}
"""

ROLES: dict[str, dict[str, Any]] = {
    "guest": {},
    "operator": {"groups": ["other", "sre"]},
    "agent": {"sub": "system:serviceaccount:agents:runner", "scope": None},
}
TOOLS = {
    "add": {"guest", "operator", "agent"},
    "which": {"guest", "operator", "agent"},
    "steps": {"operator"},
    "slow": {"operator"},  # agents see it, and need more scopes
    "fail": set[str](),
    "nothing": {"operator"},  # for whom everything of the server is there; it says that this isn't
}
ARGUMENTS = {"add": {"a": 1, "b": 2}, "slow": {"seconds": 0}, "steps": {"count": 1}}
VISIBLE = {
    "guest": {"alpha__add", "alpha__which"},
    "operator": {f"alpha__{tool}" for tool in ("add", "chat", "paint", "place", "slow", "steps", "which")},
    "agent": {"alpha__add", "alpha__which", "alpha__slow"},
}
RESOURCES = {
    "alpha+note://first": {"operator"},
    "alpha+note://by/me": {"operator", "agent"},
    "alpha+note://by/secret-1": {"operator"},
    "alpha+note://by/%73ecret-1": {"operator"},
    "alpha+note://by/x/../secret-1": set[str](),
    "alpha+NOTE://by/secret-1": {"operator"},
}
ERAS = ("stateless", "handshake")
ROLES_AND_ERAS = list(itertools.product(ROLES, ERAS))


@pytest.fixture(scope="module")
def ruled(
    shared: Launcher, alpha: str, odd: str, tokens: Tokens, tmp_path_factory: pytest.TempPathFactory
) -> Gateway:
    file = tmp_path_factory.mktemp("policy") / "policy.yaml"
    file.write_text(POLICY)
    servers = [{"name": "alpha", "urls": [alpha]}, {"name": "odd", "urls": [odd]}]
    config = {"auth": tokens.auth, "authorization": {"policy_file": str(file)}, "servers": servers}
    return shared.gateway({**config, "upstream": {"list_seconds": 20}})


def challenge(response: httpx2.Response) -> dict[str, str]:
    return dict(re.findall(r'(\w+)="([^"]*)"', response.headers["www-authenticate"]))


def ask(
    gateway: Gateway, era: str, method: str, params: dict[str, Any] | None, token: str
) -> httpx2.Response:
    if era == "stateless":
        return gateway.mcp(method, params, headers={"Authorization": f"Bearer {token}"})
    return gateway.legacy(method, params, Authorization=f"Bearer {token}")


@pytest.mark.parametrize(("role", "era"), ROLES_AND_ERAS)
def test_every_tool_for_every_role(ruled: Gateway, tokens: Tokens, role: str, era: str) -> None:
    token = tokens.make(**ROLES[role])
    for tool, allowed in TOOLS.items():
        call = {"name": f"alpha__{tool}", "arguments": ARGUMENTS.get(tool, {})}
        response = ask(ruled, era, "tools/call", call, token)
        if role in allowed:
            assert response.json()["result"]["content"], (tool, response.text)
        elif (role, tool) == ("agent", "slow"):
            assert response.status_code == 403
            assert challenge(response)["error"] == "insufficient_scope"
            assert challenge(response)["scope"] == "mcp:call slow:use slow:wait"
        else:
            assert_unknown(response, era, f"Unknown tool: alpha__{tool}", {"name": f"alpha__{tool}"})


@pytest.mark.parametrize(("role", "era"), ROLES_AND_ERAS)
def test_every_resource_for_every_role(ruled: Gateway, tokens: Tokens, role: str, era: str) -> None:
    token = tokens.make(**ROLES[role])
    for uri, allowed in RESOURCES.items():
        response = ask(ruled, era, "resources/read", {"uri": uri}, token)
        if role in allowed:
            assert (
                not response.json().get("error", {}).get("message", "").startswith("Unknown resource: alpha+")
            )
        else:
            assert_unknown(response, era, f"Unknown resource: {uri}", {"uri": uri})


def assert_unknown(response: httpx2.Response, era: str, message: str, data: dict[str, str]) -> None:
    assert response.status_code == (400 if era == "stateless" else 200)
    assert response.json()["error"] == {"code": -32602, "message": message, "data": data}


@pytest.mark.parametrize(("role", "era"), ROLES_AND_ERAS)
def test_lists_hold_what_is_there(ruled: Gateway, tokens: Tokens, role: str, era: str) -> None:
    token = tokens.make(**ROLES[role])

    def listed(method: str, items: str, key: str) -> set[str]:
        result = ask(ruled, era, method, None, token).json()["result"]
        assert result.get("cacheScope", "private") == "private"
        return {item[key] for item in result[items]}

    tools = listed("tools/list", "tools", "name")
    assert {tool for tool in tools if tool.startswith("alpha__")} == VISIBLE[role]
    assert any(tool.startswith("odd__") for tool in tools) == (role == "operator")
    resources = listed("resources/list", "resources", "uri")
    assert resources == ({"alpha+note://first"} if role == "operator" else set())
    templates = listed("resources/templates/list", "resourceTemplates", "uriTemplate")
    assert templates == (set() if role == "guest" else {"alpha+note://by/{title}"})
    assert listed("prompts/list", "prompts", "name") == {"alpha__greet"}
    page = httpx2.get(f"{ruled.url}/tools", headers={"Authorization": f"Bearer {token}"}).json()
    assert {tool["name"] for tool in page["tools"]} == tools


@pytest.mark.parametrize("era", ERAS)
def test_what_is_hidden_is_like_what_is_not_there(ruled: Gateway, tokens: Tokens, era: str) -> None:
    token = tokens.make()

    def answer(name: str) -> tuple[int, str]:
        response = ask(ruled, era, "tools/call", {"name": name, "arguments": {}}, token)
        return response.status_code, response.text.replace(name, "NAME")

    hidden = answer("alpha__steps")
    for name in ("alpha__fail", "odd__mirror", "alpha__no_such_tool", "no_server__x", "add", "alpha__", ""):
        if name:
            assert answer(name) == hidden, name
    reader = tokens.make(scope="mcp:read")
    for name in ("alpha__steps", "alpha__no_such_tool", "alpha__add"):
        response = ask(ruled, era, "tools/call", {"name": name}, reader)
        assert (response.status_code, challenge(response)["scope"]) == (403, "mcp:call")


def test_the_header_does_not_choose_the_tool(ruled: Gateway, tokens: Tokens) -> None:
    headers = {"Authorization": f"Bearer {tokens.make()}", "Mcp-Name": "alpha__add"}
    response = ruled.mcp("tools/call", {"name": "alpha__steps", "arguments": {}}, headers=headers)
    assert response.json()["error"]["code"] == -32020
    headers["MCP-Protocol-Version"] = "2025-11-25"
    response = ruled.mcp("tools/call", {"name": "alpha__steps", "arguments": {}}, headers=headers)
    assert response.json()["error"]["message"] == "Unknown tool: alpha__steps"


def test_step_up(ruled: Gateway, tokens: Tokens) -> None:
    agent = ROLES["agent"]
    call = {"name": "alpha__slow", "arguments": {"seconds": 0}}
    token = tokens.make(**{**agent, "scope": "slow:use slow:wait"})
    assert ask(ruled, "stateless", "tools/call", call, token).json()["result"]["content"]
    response = ask(ruled, "stateless", "tools/call", call, tokens.make(**{**agent, "scope": "slow:use"}))
    assert challenge(response)["scope"] == "mcp:call slow:use slow:wait"
    assert response.json()["error"]["message"] == "the token lacks the scope slow:wait"


def test_denials_are_counted(ruled: Gateway, tokens: Tokens) -> None:
    series = 'mcp_security_violations_total{reason="denied"}'
    before = ruled.metric(series)
    ask(ruled, "stateless", "tools/call", {"name": "alpha__fail"}, tokens.make())
    assert ruled.metric(series) == before + 1


def test_a_changed_policy_is_in_force_without_a_restart(
    launcher: Launcher, alpha: str, tokens: Tokens, tmp_path: Path
) -> None:
    file = tmp_path / "policy.yaml"
    rule: dict[str, Any] = {"effect": "allow", "groups": ["*"], "servers": ["alpha"], "tools": ["which"]}
    file.write_text(json.dumps({"rules": [rule]}))
    authorization = {"policy_file": str(file), "reload_seconds": 0.05}
    servers = [{"name": "alpha", "urls": [alpha]}]
    gateway = launcher.gateway({"auth": tokens.auth, "authorization": authorization, "servers": servers})

    def sees() -> set[str]:
        response = ask(gateway, "stateless", "tools/list", None, tokens.make())
        return {tool["name"] for tool in response.json()["result"]["tools"]}

    def replace(text: str) -> None:
        new = tmp_path / "new.yaml"
        new.write_text(text)
        new.rename(file)

    def reloads(outcome: str) -> float:
        return gateway.metric(f'mcp_gateway_policy_reloads_total{{outcome="{outcome}"}}')

    assert sees() == {"alpha__which"}
    replace("rules: [{effect: permit}]")
    gateway.wait_for(lambda: reloads("refused"), "refusal of the bad policy")
    assert sees() == {"alpha__which"}
    line = next(line for line in gateway.logged() if line["event"].startswith("policy refused"))
    assert "policy.yaml:1: rule 1: effect = 'permit': must be 'allow', 'ask' or 'deny'" in line["reason"]
    file.unlink()
    gateway.wait_for(lambda: reloads("refused") == 2, "refusal of no policy")
    assert sees() == {"alpha__which"}
    replace(json.dumps({"rules": [{**rule, "tools": ["add"]}]}))
    gateway.wait_for(lambda: reloads("loaded"), "the new policy")
    assert sees() == {"alpha__add"}
    time.sleep(0.2)
    assert (reloads("loaded"), reloads("refused")) == (1, 2)


@pytest.mark.parametrize("era", ERAS)
def test_arguments_of_what_is_hidden_are_not_completed(ruled: Gateway, tokens: Tokens, era: str) -> None:
    argument = {"name": "title", "value": "a"}
    for reference, word, name in (
        ({"type": "ref/prompt", "name": "odd__greet"}, "prompt", "odd__greet"),
        ({"type": "ref/resource", "uri": "alpha+note://by/{title}"}, "resource", "alpha+note://by/{title}"),
        (
            {"type": "ref/prompt", "name": "alpha__greet", "uri": "alpha+note://by/{title}"},
            "resource",
            "alpha+note://by/{title}",
        ),
    ):
        params = {"ref": reference, "argument": argument}
        response = ask(ruled, era, "completion/complete", params, tokens.make())
        assert response.json()["error"]["message"] == f"Unknown {word}: {name}"
