"""The audit stream: what is written of which request, that it is all there, and that it stays as it is."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import httpx2
import pytest

if TYPE_CHECKING:
    from conftest import Gateway, Launcher, Tokens

    from tests.services.conftest import Store

POLICY = """\
rules:
  - {effect: allow, groups: ["*"], servers: [alpha], tools: ["*"], resources: ["note://first"]}
  - {effect: deny, groups: ["*"], servers: [alpha], tools: [fail]}
"""
QUICK = {"flush_seconds": 0.02}


def audited(launcher: Launcher, store: Store, alpha: str, **config: Any) -> Gateway:
    """A gateway with an audit stream in a database of its own."""
    settings = {
        "auth": "none",
        "servers": [{"name": "alpha", "urls": [alpha]}],
        "upstream": {"list_seconds": 20},
        "postgres": store.settings,
        **config,
        "audit": {**QUICK, **config.get("audit", {})},
    }
    return launcher.gateway(settings)


def rows(store: Store) -> list[dict[str, Any]]:
    return store.rows("SELECT * FROM gateway.audit ORDER BY sequence")


def written(gateway: Gateway, store: Store, count: int) -> list[dict[str, Any]]:
    """All rows, once there are so many."""
    return gateway.wait_for(lambda: (found := rows(store)) and len(found) >= count and found, f"{count} rows")


def add(gateway: Gateway, a: int = 1, b: int = 2, **options: Any) -> httpx2.Response:
    return gateway.mcp("tools/call", {"name": "alpha__add", "arguments": {"a": a, "b": b}}, **options)


def test_a_call_is_written_down(launcher: Launcher, store: Store, alpha: str, tokens: Tokens) -> None:
    gateway = audited(launcher, store.migrate(), alpha, auth=tokens.auth)
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"Authorization": f"Bearer {tokens.make(sub='ada')}", "X-Request-Id": "the-request"}
    began = datetime.now(UTC)
    answer = add(gateway, headers=headers, meta={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    assert answer.json()["result"]["structuredContent"] == {"result": 3}
    (row,) = written(gateway, store, 1)
    assert began - timedelta(seconds=1) < row["time"] <= row["stored_at"] < datetime.now(UTC) + timedelta(1)
    assert row["duration_ms"] > 0
    expected = {
        "kind": "call",
        "method": "tools/call",
        "outcome": "ok",
        "error_type": None,
        "request_id": "the-request",
        "issuer": "https://issuer.test",
        "subject": "ada",
        "era": "2026-07-28",
        "server": "alpha",
        "target": "add",
        "arguments_sha256": hashlib.sha256(b'{"a":1,"b":2}').digest(),
        "repeats": 1,
        "sequence": 1,
        "cached": False,
    }
    assert {key: row[key] for key in expected} == expected
    assert row["trace_id"] == trace
    assert row["replica"]


def test_equal_arguments_have_equal_digests(launcher: Launcher, store: Store, alpha: str) -> None:
    gateway = audited(launcher, store.migrate(), alpha)
    params = '{"name": "alpha__add", "arguments": %s}'
    call = f'{{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {params}}}'
    for arguments in ('{"a": 1, "b": 2}', '{ "b":2,\n"a":1 }', '{"a": 1, "b": 3}'):
        headers = {"Content-Type": "application/json", "MCP-Protocol-Version": "2025-11-25"}
        assert httpx2.post(f"{gateway.url}/mcp", content=call % arguments, headers=headers).status_code == 200
    one, same, other = (row["arguments_sha256"] for row in written(gateway, store, 3))
    assert one == same != other
    assert {row["era"] for row in rows(store)} == {"2025-11-25"}


def test_a_call_that_fails_says_why(launcher: Launcher, store: Store, alpha: str, odd: str) -> None:
    servers = [
        {"name": "alpha", "urls": [alpha]},
        {"name": "odd", "urls": [odd]},
        {"name": "gone", "urls": ["http://127.0.0.1:1/mcp"]},
    ]
    gateway = audited(
        launcher, store.migrate(), alpha, servers=servers, upstream={"timeout_seconds": 5, "list_seconds": 20}
    )
    for name in ("alpha__fail", "odd__garbage", "odd__hang", "gone__any", "nobody__any"):
        gateway.mcp("tools/call", {"name": name, "arguments": {}})
    add(gateway, headers={"Mcp-Name": "another"})  # refused before it is known to be a proper call
    found = {
        (row["server"], row["target"]): (row["outcome"], row["error_type"])
        for row in written(gateway, store, 6)
    }
    assert found == {
        ("alpha", "fail"): ("error", "tool_error"),
        ("odd", "garbage"): ("error", "bad_response"),
        ("odd", "hang"): ("error", "timeout"),
        ("gone", "any"): ("error", "unavailable"),
        ("nobody", "any"): ("error", "-32602"),
        (None, None): ("refused", "-32020"),
    }


def test_a_caller_who_leaves_is_written_down(launcher: Launcher, store: Store, alpha: str) -> None:
    gateway = audited(launcher, store.migrate(), alpha)
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"name": "alpha__slow", "arguments": {"seconds": 20}, "_meta": meta}
    body = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}
    headers = {
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": "alpha__slow",
    }
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.post(f"{gateway.url}/mcp", json=body, headers=headers, timeout=1)
    (row,) = written(gateway, store, 1)
    assert (row["outcome"], row["error_type"], row["target"]) == ("error", "client_gone", "slow")


def test_what_is_denied_is_written_down(
    launcher: Launcher, store: Store, alpha: str, tokens: Tokens, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    gateway = audited(
        launcher,
        store.migrate(),
        alpha,
        auth=tokens.auth,
        authorization={"policy_file": str(policy)},
        limits={"tools": [{"match": "alpha__which", "per_second": 0.001, "burst": 1}]},
    )
    ada = {"Authorization": f"Bearer {tokens.make()}"}
    gateway.mcp("tools/call", {"name": "alpha__fail", "arguments": {}}, headers=ada)
    gateway.mcp("resources/read", {"uri": "alpha+note://by/me"}, headers=ada)
    gateway.mcp("resources/read", {"uri": "alpha+note://first"}, headers=ada)  # not a call, and not denied
    for _ in range(3):
        gateway.mcp("tools/call", {"name": "alpha__which", "arguments": {}}, headers=ada)
    for _ in range(5):
        add(gateway)
    reader = {"Authorization": f"Bearer {tokens.make(scope='mcp:read')}"}
    add(gateway, headers=reader)
    httpx2.get(f"{gateway.url}/config")
    expected = {
        ("call", "tools/call", "fail", "denied", "-32602", "ada"): 1,
        ("violation", "resources/read", "note://by/me", "denied", "-32602", "ada"): 1,
        ("call", "tools/call", "which", "ok", None, "ada"): 1,
        ("call", "tools/call", "which", "refused", "limit_tool", "ada"): 2,
        ("call", "tools/call", "add", "denied", "scope", "ada"): 1,
        ("violation", "", None, "denied", "token_missing", None): 5,
        ("violation", "GET /config", None, "denied", "token_missing", None): 1,
    }

    def counted() -> Counter[Any]:
        found = Counter[Any]()
        for row in rows(store):
            kind = tuple(row[key] for key in ("kind", "method", "target", "outcome", "error_type", "subject"))
            found[kind] += row["repeats"]
        return found

    gateway.wait_for(lambda: counted().total() >= sum(expected.values()), "all rows")
    assert counted() == expected
    # Equal refusals share a row: eleven things happened, and whoever floods us writes little.
    assert len(rows(store)) < sum(expected.values())


def test_reads_are_calls_where_that_is_set(launcher: Launcher, store: Store, alpha: str) -> None:
    gateway = audited(launcher, store.migrate(), alpha, audit={"reads": True})
    gateway.mcp("resources/read", {"uri": "alpha+note://first"})
    gateway.mcp("prompts/get", {"name": "alpha__greet", "arguments": {"whom": "Bo"}})
    gateway.mcp("tools/list")
    read, got = written(gateway, store, 2)
    assert (read["kind"], read["method"], read["target"]) == ("call", "resources/read", "note://first")
    assert (got["method"], got["target"], got["outcome"]) == ("prompts/get", "greet", "ok")


def test_neither_token_nor_arguments_are_anywhere(
    launcher: Launcher, store: Store, alpha: str, tokens: Tokens
) -> None:
    gateway = audited(launcher, store.migrate(), alpha, auth=tokens.auth)
    good, bad = tokens.make(), tokens.make(exp=1)
    canary = "canary-4711"
    for token in (good, bad):
        headers = {"Authorization": f"Bearer {token}"}
        for tool in ("place", "missing"):
            arguments = {"region": canary, canary: [canary]}
            gateway.mcp("tools/call", {"name": f"alpha__{tool}", "arguments": arguments}, headers=headers)
    written(gateway, store, 3)
    everything = json.dumps(rows(store), default=repr) + store.server.log.read_text()
    everything += gateway.log()
    for secret in (good, bad, good.rsplit(".", 1)[1], canary):
        assert secret not in everything


def as_gateway(store: Store, statement: str) -> None:
    async def run() -> None:
        known = {key: store.settings[key] for key in ("host", "port", "database", "user")}
        connection = await asyncpg.connect(**known, password="the role's password")
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


CHANGES = [
    "UPDATE gateway.audit SET subject = 'somebody else'",
    "DELETE FROM gateway.audit",
    "TRUNCATE gateway.audit",
]


@pytest.mark.parametrize(
    "statement",
    [*CHANGES, "SELECT * FROM gateway.audit", "DROP TABLE gateway.audit", "CREATE TABLE public.x ()"],
)
def test_the_gateway_may_only_add(store: Store, statement: str) -> None:
    store.migrate()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        as_gateway(store, statement)


@pytest.mark.parametrize("statement", CHANGES)
def test_not_even_the_owner_changes_a_row_by_mistake(
    launcher: Launcher, store: Store, alpha: str, statement: str
) -> None:
    gateway = audited(launcher, store.migrate(), alpha)
    add(gateway)
    before = written(gateway, store, 1)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        store.run(lambda connection: connection.execute(statement))
    assert rows(store) == before


def test_many_calls_at_once_are_all_there(launcher: Launcher, store: Store, alpha: str) -> None:
    gateway = audited(launcher, store.migrate(), alpha, audit={"batch_records": 7})
    with ThreadPoolExecutor(16) as pool:
        making = [pool.submit(add, gateway, number) for number in range(300)]
        answers = [answer.result() for answer in making]
    assert {answer.status_code for answer in answers} == {200}
    found = written(gateway, store, 300)
    assert {row["sequence"] for row in found} == set(range(1, 301))
    assert {row["request_id"] for row in found} == {answer.headers["x-request-id"] for answer in answers}
    # They are counted once they are there, and leave the buffer then.
    gateway.wait_for(lambda: gateway.metric("mcp_audit_buffer_records") == 0, "an empty buffer")
    assert gateway.metric("mcp_audit_records_written_total") == 300


def test_what_is_left_at_the_end_is_written_then(launcher: Launcher, store: Store, alpha: str) -> None:
    gateway = audited(launcher, store.migrate(), alpha, audit={"flush_seconds": 60})
    for number in range(5):
        add(gateway, a=number)
    add(gateway, headers={"Mcp-Name": "another"})
    assert rows(store) == []
    assert gateway.process.stop() == 0
    assert [row["outcome"] for row in rows(store)] == ["ok"] * 5 + ["refused"]


def test_durable_means_that_the_row_is_there_before_the_answer(
    launcher: Launcher, store: Store, alpha: str
) -> None:
    gateway = audited(launcher, store.migrate(), alpha, audit={"mode": "durable", "flush_seconds": 60})
    for count in range(1, 21):
        add(gateway)
        assert len(rows(store)) == count


def test_without_postgres_records_are_lines_of_the_log(launcher: Launcher, alpha: str) -> None:
    servers = [{"name": "alpha", "urls": [alpha]}]
    # Records are no matter of the log's level.
    config = {"auth": "none", "servers": servers, "audit": {**QUICK, "sink": "log"}, "log_level": "warning"}
    gateway = launcher.gateway({**config, "log_level": "info"})
    add(gateway)
    (line,) = gateway.wait_for(lambda: gateway.logged("audit"), "audit line")
    assert (line["target"], line["outcome"], line["sequence"]) == ("add", "ok", 1)
    assert line["arguments_sha256"] == hashlib.sha256(b'{"a":1,"b":2}').hexdigest()
