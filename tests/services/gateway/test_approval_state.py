"""What a caller hands back between the rounds of a call: nobody else's, nothing else's, and only once."""

from __future__ import annotations

import asyncio
import base64
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.approval.single_use import MAX_REMEMBERED, SingleUse, UseUnknownError
from services.gateway.sealing import Sealer, SealError
from tests.services.gateway.risky import Risky, approve, asked, call, done, outcome

if TYPE_CHECKING:
    from conftest import Gateway, Launcher, RedisServer, Tokens

ARGUMENTS = {"path": "a.txt"}
WHY = {"why": {"action": "accept", "content": {}}}


@pytest.fixture(scope="module")
def risky(shared: Launcher) -> Risky:
    return Risky(f"http://127.0.0.1:{shared.program('risky_server')}")


@pytest.fixture
def keys(tmp_path: Path) -> list[str]:
    files = [tmp_path / f"key-{number}" for number in range(2)]
    for file in files:
        file.write_text(secrets.token_urlsafe(40))
    return [str(file) for file in files]


@pytest.fixture(scope="module")
def guarded_risky(shared: Launcher, risky: Risky, tokens: Tokens) -> Gateway:
    return shared.gateway({"auth": tokens.auth, "servers": risky.servers})


def replica(launcher: Launcher, risky: Risky, keys: list[str], **config: Any) -> Gateway:
    state = {"key_files": keys}
    return launcher.gateway({"auth": "none", "servers": risky.servers, "state": state, **config})


def reason(response: httpx2.Response) -> str:
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert error["code"] == -32602
    assert error["data"]["type"] == "request_state"
    return error["data"]["reason"]


def test_a_state_opens_for_the_same_call_of_the_same_caller_only(
    guarded_risky: Gateway, risky: Risky, tokens: Tokens
) -> None:
    ada, eve = tokens.make(sub="ada"), tokens.make(sub="eve")
    state = asked(call(guarded_risky, "erase", ARGUMENTS, token=ada))
    before = len(risky.seen)
    wrong = {
        "another principal": approve(guarded_risky, "erase", state, ARGUMENTS, token=eve),
        "another tool": approve(guarded_risky, "put", state, ARGUMENTS, token=ada),
        "other arguments": approve(guarded_risky, "erase", state, {"path": "b.txt"}, token=ada),
        "one more argument": approve(guarded_risky, "erase", state, {**ARGUMENTS, "x": 1}, token=ada),
        "no arguments": approve(guarded_risky, "erase", state, token=ada),
        "no state": approve(guarded_risky, "erase", "", ARGUMENTS, token=ada),
        "no text": call(guarded_risky, "erase", ARGUMENTS, token=ada, requestState={"a": 1}),
        "the server's own": approve(guarded_risky, "wipe", "two", ARGUMENTS, token=ada),
    }
    assert {what: reason(response) for what, response in wrong.items()} == dict.fromkeys(wrong, "invalid")
    assert len(risky.seen) == before
    assert outcome(guarded_risky, "invalid") >= len(wrong)
    violations = 'mcp_security_violations_total{reason="request_state_invalid"}'
    assert guarded_risky.metric(violations) >= len(wrong)
    assert done(approve(guarded_risky, "erase", state, ARGUMENTS, token=tokens.make(sub="ada", jti="new")))


def test_a_state_that_was_changed_is_refused(guarded_risky: Gateway, risky: Risky, tokens: Tokens) -> None:
    token = tokens.make()
    state = asked(call(guarded_risky, "erase", token=token))
    before = len(risky.seen)
    sealed = base64.urlsafe_b64decode(state)
    for place in (0, 5, 17, len(sealed) // 2, len(sealed) - 1):
        changed = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        text = base64.urlsafe_b64encode(changed).decode()
        assert reason(approve(guarded_risky, "erase", text, token=token)) == "invalid"
    for text in (state[:-4], state + "AAAA", "é", "=", state[: len(state) // 2]):
        assert reason(approve(guarded_risky, "erase", text, token=token)) == "invalid"
    assert len(risky.seen) == before


def test_a_state_doesnt_show_what_is_in_it(guarded_risky: Gateway, tokens: Tokens) -> None:
    token = tokens.make()
    first = asked(call(guarded_risky, "wipe", token=token))
    second = approve(guarded_risky, "wipe", first, token=token).json()["result"]["requestState"]
    assert b"one" not in base64.urlsafe_b64decode(second)
    assert b"approved" not in base64.urlsafe_b64decode(second)


def test_a_state_expires(launcher: Launcher, risky: Risky) -> None:
    gateway = launcher.gateway({"auth": "none", "servers": risky.servers, "approval": {"seconds": 0.2}})
    state = asked(call(gateway, "put"))
    time.sleep(0.4)
    before = len(risky.seen)
    assert reason(approve(gateway, "put", state)) == "expired"
    assert len(risky.seen) == before
    assert outcome(gateway, "expired") == 1


def test_another_replica_goes_on_if_it_has_the_key(
    launcher: Launcher, risky: Risky, keys: list[str], tmp_path: Path
) -> None:
    (tmp_path / "other").write_text(secrets.token_urlsafe(40))
    one, two = (replica(launcher, risky, keys[:1]) for _ in range(2))
    stranger = replica(launcher, risky, [str(tmp_path / "other")])
    state = asked(call(one, "wipe", ARGUMENTS))
    assert reason(approve(stranger, "wipe", state, ARGUMENTS)) == "invalid"
    further = approve(two, "wipe", state, ARGUMENTS).json()["result"]["requestState"]
    further = call(one, "wipe", ARGUMENTS, requestState=further, inputResponses=WHY).json()["result"]
    assert done(call(two, "wipe", ARGUMENTS, requestState=further["requestState"]))


def test_keys_are_replaced_one_after_the_other(launcher: Launcher, risky: Risky, keys: list[str]) -> None:
    old, new = keys
    before, between, after = (replica(launcher, risky, files) for files in ([old], [new, old], [new]))
    state = asked(call(before, "put"))
    assert done(approve(between, "put", state))
    assert reason(approve(after, "put", state)) == "invalid"
    sealed_by_new = asked(call(between, "put"))
    assert done(approve(after, "put", sealed_by_new))
    assert reason(approve(before, "put", sealed_by_new)) == "invalid"


def test_an_approval_is_used_once_unless_the_tool_may_be_repeated(
    guarded_risky: Gateway, risky: Risky, tokens: Tokens
) -> None:
    token = tokens.make()
    before = len(risky.seen)
    state = asked(call(guarded_risky, "erase", token=token))
    assert done(approve(guarded_risky, "erase", state, token=token))
    assert reason(approve(guarded_risky, "erase", state, token=token)) == "replayed"
    assert [it["name"] for it in risky.seen[before:]] == ["erase"]
    assert outcome(guarded_risky, "replayed") >= 1
    state = asked(call(guarded_risky, "put", token=token))
    assert [done(approve(guarded_risky, "put", state, token=token)) for _ in range(2)] == [True, True]


def test_no_round_of_an_approved_call_is_used_twice(
    guarded_risky: Gateway, risky: Risky, tokens: Tokens
) -> None:
    token = tokens.make()
    first = asked(call(guarded_risky, "wipe", token=token))
    second = approve(guarded_risky, "wipe", first, token=token).json()["result"]["requestState"]
    rounds = [
        call(guarded_risky, "wipe", token=token, requestState=second, inputResponses=WHY) for _ in range(2)
    ]
    assert rounds[0].json()["result"]["requestState"]
    assert reason(rounds[1]) == "replayed"
    third = rounds[0].json()["result"]["requestState"]
    before = len(risky.seen)
    assert [done(call(guarded_risky, "wipe", token=token, requestState=third)) for _ in range(2)] == [
        True,
        False,
    ]
    assert len(risky.seen) == before + 1


def test_replicas_tell_each_other_by_redis_what_was_used(
    launcher: Launcher, risky: Risky, keys: list[str], redis_server: RedisServer
) -> None:
    one, two = (replica(launcher, risky, keys[:1], redis=redis_server.patient_settings) for _ in range(2))
    for gateway in (one, two):
        gateway.wait_for(lambda it=gateway: it.metric("mcp_gateway_redis_up") == 1, "redis")
    state = asked(call(one, "erase"))
    before = len(risky.seen)
    assert done(approve(one, "erase", state))
    assert reason(approve(two, "erase", state)) == "replayed"
    assert len(risky.seen) == before + 1
    (key,) = redis_server.client().keys("mcp-gateway:approval:*")  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType] - the stub can't tell that it isn't async
    assert 0 < redis_server.client().pttl(key) <= 300_001  # pyright: ignore[reportOperatorIssue, reportUnknownArgumentType] - as above


@pytest.mark.parametrize("mode", ["local", "closed"])
def test_while_redis_is_away_a_setting_decides(
    launcher: Launcher, risky: Risky, keys: list[str], redis_server: RedisServer, mode: str
) -> None:
    gateway = replica(
        launcher, risky, keys, redis=redis_server.patient_settings, approval={"without_redis": mode}
    )
    gateway.wait_for(lambda: gateway.metric("mcp_gateway_redis_up") == 1, "redis")
    redis_server.stop()
    state = asked(call(gateway, "erase"))
    before = len(risky.seen)
    answer = approve(gateway, "erase", state)
    if mode == "local":
        assert done(answer)
        assert reason(approve(gateway, "erase", state)) == "replayed"
    else:
        assert answer.json()["error"]["data"] == {"type": "approval", "outcome": "unavailable"}
        assert done(approve(gateway, "put", asked(call(gateway, "put")))), "it may be repeated"
        redis_server.start()
        gateway.wait_for(lambda: gateway.metric("mcp_gateway_redis_up") == 1, "redis again")
        assert done(approve(gateway, "erase", state)), "nothing was used up"
    assert [it["name"] for it in risky.seen[before:]].count("erase") == 1


def test_what_is_remembered_is_bounded_and_forgotten() -> None:
    async def use() -> None:
        used = SingleUse(None, "local")
        for number in range(MAX_REMEMBERED):
            assert await used.spend(str(number), 60)
        with pytest.raises(UseUnknownError):
            await used.spend("one more", 60)
        assert not await used.spend("5", 60)
        brief = SingleUse(None, "local")
        times = (-1, 1, 1)  # the first is forgotten at once
        assert [await brief.spend("x", seconds) for seconds in times] == [True, True, False]

    asyncio.run(use())


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "No such file or directory"),
        ("short", "must hold a random secret of at least 32 characters"),
        ("x" * 64, "must hold a random secret of at least 32 characters"),
        ("", "must hold a random secret of at least 32 characters"),
    ],
)
@pytest.mark.parametrize("arguments", [[], ["--check"]])
def test_a_key_file_without_a_secret_ends_the_start(
    tmp_path: Path, content: str | None, problem: str, arguments: list[str]
) -> None:
    key, file = tmp_path / "key", tmp_path / "config.yaml"
    if content is not None:
        key.write_text(content)
    servers = [{"name": "a", "urls": ["http://127.0.0.1:1/mcp"]}]
    config = {"listen": {"host": "127.0.0.1"}, "auth": "none", "servers": servers}
    file.write_text(yaml.safe_dump({**config, "state": {"key_files": [str(key)]}}))
    command = [sys.executable, "-m", "services.gateway", "--config", str(file), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert ended.stderr == f"mcp-gateway: state key file {key}: {problem}\n"


SECRETS = st.binary(min_size=32, max_size=64)


@given(SECRETS, SECRETS, st.binary(max_size=200), st.binary(max_size=50), st.binary(max_size=50))
def test_what_is_sealed_opens_with_its_key_and_context_only(
    one: bytes, two: bytes, content: bytes, context: bytes, other: bytes
) -> None:
    sealed = Sealer([one]).seal(content, context)
    assert Sealer([two, one]).open(sealed, context) == content
    if other != context:
        with pytest.raises(SealError):
            Sealer([one]).open(sealed, other)
    if one != two:
        with pytest.raises(SealError):
            Sealer([two]).open(sealed, context)


@given(st.text())
def test_foreign_text_doesnt_open(text: str) -> None:
    with pytest.raises(SealError):
        Sealer([b"k" * 32]).open(text, b"")
