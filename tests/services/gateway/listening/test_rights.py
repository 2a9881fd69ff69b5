"""Callers hear only of what they may see, and only as long as they may."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.services.gateway.conftest import Gateway, Launcher, Tokens
    from tests.services.gateway.listening.conftest import ChangingServer, Listener

    Before = Callable[..., Gateway]

ALL_LISTS = {"toolsListChanged": True, "promptsListChanged": True, "resourcesListChanged": True}
EVERYTHING: dict[str, Any] = {"effect": "allow", "groups": ["*"], "servers": ["*"]}
NOTES = {**EVERYTHING, "resources": ["note://*"]}


class Policy:
    """A policy file, looked at often."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.settings = {"policy_file": str(file), "reload_seconds": 0.2}

    def write(self, *rules: dict[str, Any], **groups: Any) -> None:
        other = self._file.with_suffix(".new")
        other.write_text(json.dumps({"groups": groups, "rules": rules}))
        other.replace(self._file)


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    return Policy(tmp_path / "policy.yaml")


def uris(*names: str) -> dict[str, Any]:
    return {"resourceSubscriptions": [f"alpha+{name}" for name in names]}


def test_a_token_is_needed_and_the_right_to_read(
    alpha: ChangingServer, before: Before, listening: type[Listener], tokens: Tokens
) -> None:
    gateway = before(alpha, auth=tokens.auth)
    assert httpx2.post(f"{gateway.url}/mcp", **listening.request(ALL_LISTS)).status_code == 401
    token = tokens.make(scope="mcp:call")
    refused = httpx2.post(f"{gateway.url}/mcp", **listening.request(ALL_LISTS, token=token))
    assert refused.status_code == 403
    assert 'scope="mcp:read"' in refused.headers["www-authenticate"]


def test_what_may_not_be_read_cant_be_listened_to(
    alpha: ChangingServer, before: Before, listening: type[Listener], tokens: Tokens, policy: Policy
) -> None:
    policy.write(NOTES, {**EVERYTHING, "effect": "deny", "resources": ["note://secret"]})
    gateway = before(alpha, auth=tokens.auth, authorization=policy.settings)
    token = tokens.make()
    answers = [
        httpx2.post(f"{gateway.url}/mcp", **listening.request(uris("note://first", name), token=token)).json()
        for name in ("note://secret", "file:///x")
    ]
    assert [it["error"]["code"] for it in answers] == [-32602, -32602]
    assert answers[0]["error"]["message"] == "Unknown resource: alpha+note://secret"
    with listening(gateway, uris("note://first"), token=token) as listener:
        assert listener.honored == uris("note://first")


def test_parts_that_may_not_be_read_arent_told_of(
    launcher: Launcher, listening: type[Listener], tokens: Tokens, policy: Policy
) -> None:
    policy.write(NOTES, {**EVERYTHING, "effect": "deny", "resources": ["note://docs/a/*"]})
    servers = [{"name": "odd", "urls": [f"http://127.0.0.1:{launcher.program('odd_server')}/mcp"]}]
    gateway = launcher.gateway({"auth": tokens.auth, "authorization": policy.settings, "servers": servers})
    wanted = {"resourceSubscriptions": ["odd+note://docs", "odd+note://other"]}
    with listening(gateway, wanted, token=tokens.make()) as listener:
        listener.expect("odd+note://other")


def test_changes_of_hidden_servers_arent_told(
    alpha: ChangingServer,
    beta: ChangingServer,
    before: Before,
    listening: type[Listener],
    tokens: Tokens,
    policy: Policy,
) -> None:
    operators = {"members": [{"subject": "ada"}]}
    policy.write(
        {"effect": "allow", "groups": ["operators"], "servers": ["alpha"], "tools": ["*"]},
        {"effect": "allow", "groups": ["*"], "servers": ["beta"], "tools": ["*"], "prompts": ["*"]},
        operators=operators,
    )
    gateway = before(alpha, beta, auth=tokens.auth, authorization=policy.settings)
    with (
        listening(gateway, ALL_LISTS, token=tokens.make(sub="ada")) as ada,
        listening(gateway, ALL_LISTS, token=tokens.make(sub="eve")) as eve,
    ):
        alpha.change("tools", "prompts", "resources")
        ada.expect("tools")
        ada.forget()
        beta.change("prompts", "resources")
        ada.expect("prompts")
        eve.expect("prompts")


def test_a_changed_policy_is_told_and_in_force(
    alpha: ChangingServer, before: Before, listening: type[Listener], tokens: Tokens, policy: Policy
) -> None:
    mine = {"effect": "allow", "groups": ["*"], "servers": ["alpha"], "resources": ["note://*"]}
    policy.write(mine)
    gateway = before(alpha, auth=tokens.auth, authorization=policy.settings)
    wanted = {"toolsListChanged": True, **uris("note://first", "note://second")}
    with listening(gateway, wanted, token=tokens.make()) as listener:
        policy.write(mine, {"effect": "deny", "groups": ["*"], "servers": ["alpha"], "resources": ["*first"]})
        listener.expect("tools")
        listener.forget()
        alpha.change("note://first", "note://second")
        listener.expect("alpha+note://second")
        listener.forget()
        policy.write(
            mine,
            {"effect": "deny", "groups": ["*"], "servers": ["alpha"], "resources": ["*first"]},
            {"effect": "allow", "groups": ["others"], "servers": ["alpha"], "tools": ["*"]},
            others={"members": [{"subject": "eve"}]},
        )
        gateway.wait_for(
            lambda: gateway.metric('mcp_gateway_policy_reloads_total{outcome="loaded"}') == 2, "reload"
        )
        alpha.change("note://second")
        listener.expect("alpha+note://second")  # and nothing of a policy that is the same for this caller


def test_who_loses_the_right_to_read_loses_the_stream(
    alpha: ChangingServer, before: Before, listening: type[Listener], tokens: Tokens, policy: Policy
) -> None:
    readers = {"members": [{"subject": "*"}], "scopes": ["mcp:read"]}
    policy.write(NOTES, readers=readers)
    gateway = before(alpha, auth=tokens.auth, authorization=policy.settings)
    with listening(gateway, ALL_LISTS, token=tokens.make(scope=""), id_=3) as listener:
        policy.write(NOTES)
        assert listener.expect_end()["_meta"]["io.modelcontextprotocol/subscriptionId"] == 3
        assert listener.told == []
    assert gateway.metric('mcp_gateway_streams_ended_total{reason="revoked"}') == 1


def test_a_stream_ends_with_its_token(
    alpha: ChangingServer, before: Before, listening: type[Listener], tokens: Tokens
) -> None:
    gateway = before(alpha, auth=tokens.auth)
    expiry = int(time.time()) + 5
    with listening(gateway, ALL_LISTS, token=tokens.make(exp=expiry), id_="x") as listener:
        result = listener.expect_end()
    assert time.time() >= expiry
    assert result["resultType"] == "complete"
    assert result["_meta"]["io.modelcontextprotocol/subscriptionId"] == "x"
    assert gateway.metric('mcp_gateway_streams_ended_total{reason="expired"}') == 1
    with listening(gateway, ALL_LISTS, token=tokens.make()):
        assert gateway.metric("mcp_gateway_streams") == 1
