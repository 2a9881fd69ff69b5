"""What is in arguments, results and tokens shows nowhere but where it is for, with everything switched on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from services.kit.pins import Lock, SigningKey
from tests.services.gateway.attacks import Site
from tests.services.gateway.test_canary import MARK, pieces

if TYPE_CHECKING:
    from conftest import Gateway, Launcher, RedisServer, Tokens

    from tests.services.conftest import Store

ARGUMENT, RESULT = "canaryArgument4d1e", "canaryResult9b7c"
TASKS = "io.modelcontextprotocol/tasks"
CAPABILITIES = {"elicitation": {}, "extensions": {TASKS: {}}}
DECLARED = {"io.modelcontextprotocol/clientCapabilities": CAPABILITIES}
PAGES = ("/config", "/status", "/status.json", "/tools", "/health", "/openapi.json")
ADMIN = ("/admin/servers", "/admin/breakers", "/admin/cache", "/admin/limits", "/admin/pins")
TOOLS = (
    *("good", "kept", "kept", "fail", "ask", "stream", "garbage", "html", "huge", "leak", "task", "erase"),
    *("no_http", "bad_header", "bad_length", "bad_chunk", "cut_short", "too_long", "unlisted"),
)
SAID_BY_THE_SERVER = "refuse"
"""The tool whose error is the server's own, and for the caller."""


class Talk:
    """What a caller asks of a gateway, and all that it is told."""

    def __init__(self, gateway: Gateway, token: str) -> None:
        self.gateway = gateway
        self.bearer = {"Authorization": f"Bearer {token}"}
        self.answers: list[httpx2.Response] = []

    def both(self, method: str, params: dict[str, Any]) -> None:
        """In both generations."""
        meta = {**DECLARED, "progressToken": "p"}
        self.answers.append(self.gateway.mcp(method, params, meta=meta, headers=self.bearer))
        params = {**params, "_meta": {"progressToken": "p"}}
        self.answers.append(self.gateway.legacy(method, params, Accept="application/json", **self.bearer))

    def post(self, content: bytes, **headers: str) -> None:
        """Something that is no proper request."""
        headers = {"Content-Type": "application/json", **self.bearer, **headers}
        self.answers.append(httpx2.post(f"{self.gateway.url}/mcp", content=content, headers=headers))

    def errors(self) -> list[str]:
        """The answers that are errors."""
        texts = [(it.status_code, f"{it.headers} {it.text}") for it in self.answers]
        return [text for status, text in texts if status >= 400 or '"error":' in text]

    def ask_everything(self) -> None:
        arguments = {"region": ARGUMENT, "deep": {"er": [ARGUMENT]}, ARGUMENT: True}
        for tool in TOOLS:
            self.both("tools/call", {"name": f"teller__{tool}", "arguments": arguments})
        for name in ("hidden__good", "gone__good", "nobody__good"):
            self.both("tools/call", {"name": name, "arguments": arguments})
        self.both("prompts/get", {"name": "teller__good", "arguments": {"a": ARGUMENT}})
        self.both("resources/read", {"uri": "teller+note://good"})
        argument = {"name": "a", "value": ARGUMENT}
        self.both("completion/complete", {"ref": {"type": "ref/prompt", "name": "x"}, "argument": argument})
        self.ask_wrongly()

    def ask_wrongly(self) -> None:
        call = '{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": %s}'
        for params in (
            f'{{"name": "teller__good", "arguments": "{ARGUMENT}"}}',
            f'{{"name": "teller__good", "arguments": ["{ARGUMENT}"]}}',
            f'{{"name": "teller__good", "arguments": {ARGUMENT}}}',
            f'{{"name": 7, "arguments": {{"a": "{ARGUMENT}"}}}}',
            f'{{"arguments": {{"a": "{ARGUMENT}"}}}}',
            f'{{"name": "teller__good", "requestState": "{ARGUMENT}"}}',
            f'{{"name": "teller__good", "inputResponses": {{"a": "{ARGUMENT}"}}}}',
            f'["{ARGUMENT}"]',
            f'"{ARGUMENT}',
        ):
            self.post((call % params).encode())
        self.post(f'[{{"jsonrpc": "2.0", "id": 1, "params": "{ARGUMENT}"}}]'.encode())
        self.post(f'{{"jsonrpc": "2.0", "id": 9, "result": {{"a": "{ARGUMENT}"}}}}'.encode())
        self.post(ARGUMENT.encode(), **{"Content-Type": "text/plain"})
        self.post(f'{{"a": "{ARGUMENT * 10_000}"}}'.encode())
        self.post(b"{}", **{"Mcp-Param-Region": ARGUMENT * 1000})
        self.post(b"{}", **{f"X-{number}": ARGUMENT for number in range(120)})

    def run_a_task(self) -> None:
        arguments = {"region": ARGUMENT}
        answer = self.gateway.mcp(
            "tools/call", {"name": "teller__task", "arguments": arguments}, meta=DECLARED, headers=self.bearer
        )
        task_id = answer.json()["result"]["taskId"]

        def done() -> bool:
            headers = {"Mcp-Name": task_id, **self.bearer}
            answer = self.gateway.mcp("tasks/get", {"taskId": task_id}, meta=DECLARED, headers=headers)
            return RESULT in answer.text

        self.gateway.wait_for(done, "the task's result")

    def read_pages(self, paths: tuple[str, ...]) -> str:
        answers = [httpx2.get(f"{self.gateway.url}{path}", headers=self.bearer) for path in paths]
        assert [it.status_code for it in answers] == [200] * len(paths), answers
        return "".join(f"{it.headers} {it.text}" for it in answers)


@pytest.fixture
def collector() -> Any:
    found = Site()
    yield found
    found.close()


@pytest.fixture
def everything(
    launcher: Launcher,
    tokens: Tokens,
    store: Store,
    redis_server: RedisServer,
    collector: Site,
    tmp_path: Path,
) -> tuple[Gateway, str]:
    """A gateway that has all that there is, and the server behind it."""
    url = f"http://127.0.0.1:{launcher.program('telling_server', RESULT)}"
    rule = {"effect": "allow", "groups": ["*"], "servers": ["teller", "gone"]}
    rule |= {kind: ["*"] for kind in ("tools", "prompts", "resources")}
    policy, lock, key = (tmp_path / name for name in ("policy.yaml", "lock.json", "key.pub.pem"))
    policy.write_text(json.dumps({"rules": [rule]}))
    signer = SigningKey.generate()
    key.write_bytes(signer.public.pem())
    lock.write_text(Lock({}).signed(signer))
    many = {"per_second": 10_000, "burst": 10_000}
    config: dict[str, Any] = {
        "auth": tokens.auth,
        "authorization": {"policy_file": str(policy)},
        "servers": [
            {"name": "teller", "urls": [f"{url}/mcp"]},
            {"name": "hidden", "urls": [f"{url}/mcp"]},
            {"name": "gone", "urls": ["http://127.0.0.1:9/mcp"]},
        ],
        "upstream": {"list_seconds": 20, "breaker": {"min_calls": 1000}, "eject_failures": 1000},
        "requests": {"max_body_bytes": 100_000},
        "redis": redis_server.patient_settings,
        "limits": {"gateway": many, "principal": many, "tools": [{"match": "*", **many}]},
        "cache": {"tools": [{"match": "teller__kept"}]},
        "postgres": store.migrate().settings,
        "audit": {"reads": True, "mode": "durable"},
        "tasks": {"poll_seconds": 0.1, "tools": [{"match": "teller__task"}]},
        "tracing": {"endpoint": collector.url, "sample_ratio": 1},
        "content": {"leaks": "redact", "max_result_bytes": 200_000},
        "pinning": {"lock_file": str(lock), "public_key_files": [str(key)], "mode": "warn"},
        "log_level": "debug",
    }
    return launcher.gateway(config), url


def test_content_and_tokens_show_only_where_they_are_for(
    everything: tuple[Gateway, str], tokens: Tokens, store: Store, collector: Site
) -> None:
    gateway, server = everything
    token = tokens.make(note=MARK, scope="mcp:read mcp:call mcp:admin")
    talk = Talk(gateway, token)
    talk.ask_everything()
    talk.run_a_task()
    allowed = [it.text for it in talk.answers if it.status_code == 200 and '"result":' in it.text]
    assert sum(RESULT in text for text in allowed) >= 12, "results reach their callers"
    errors = talk.errors()
    assert len(errors) >= 30, "errors are looked through"
    others = Talk(gateway, token)
    others.both("tools/call", {"name": f"teller__{SAID_BY_THE_SERVER}", "arguments": {"a": ARGUMENT}})
    assert all(RESULT in text and ARGUMENT not in text for text in others.errors())
    pages = talk.read_pages(PAGES + ADMIN)
    metrics = httpx2.get(f"{gateway.ops_url}/metrics").text
    sent = httpx2.get(f"{server}/seen").text
    gateway.wait_for(lambda: "tools/call kept" in "".join(collector.received), "spans")
    assert gateway.process.stop() == 0
    rows = [str(row) for row in store.rows("SELECT * FROM gateway.audit")]
    places = {
        "log": gateway.process.log.read_text(),
        "audit": "".join(rows),
        "spans": "".join(collector.received),
        "metrics": metrics,
        "pages": pages,
        "errors": "".join(errors),
    }
    assert ARGUMENT in sent, "arguments reach the server"
    assert len(rows) > len(TOOLS), "the audit is looked through"
    assert '"cached":"memory"' in places["log"] or "'cached': True" in places["audit"]
    assert "server's text cleaned" in places["log"]
    assert 'tool="kept"' in metrics
    assert "teller" in pages
    for place, text in places.items():
        for secret in (ARGUMENT, RESULT, *pieces(token)):
            assert secret not in text, (place, text[max(0, text.index(secret) - 300) :][:500])
    for piece in pieces(token):
        assert piece not in sent
