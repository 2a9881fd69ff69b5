"""CVEs of other gateways, servers and SDKs that were about who got in, and got at what: a test for each."""

from __future__ import annotations

import socket
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.header_value import encode_value
from tests.services.gateway.attacks import (
    AUDIENCE,
    ISSUER,
    REPOSITORY,
    ask,
    refused_at_start,
    resident,
    seen,
    signed_by_secret,
)

if TYPE_CHECKING:
    from conftest import Gateway, Launcher, Tokens

ERAS = ("stateless", "handshake")
HIDDEN = (
    *("mixed__put", "mixed__add", "hidden__read", "mixed__PUT", "MIXED__put", "mixed__put ", "mixed__%70ut"),
    *("mixed__read__put", "mixed__read/../put", "mixed__read\0put", "mixed____put", "put", "mixed__"),
)
POLICY = """\
rules:
  - {effect: allow, groups: ["*"], servers: [open], tools: ["*"], resources: ["*"]}
  - {effect: allow, groups: ["*"], servers: [mixed], tools: [read]}
"""


@pytest.fixture(scope="module")
def spies(shared: Launcher) -> dict[str, str]:
    """Three servers that tell what they were asked."""
    return {
        name: f"http://127.0.0.1:{shared.program('flaky_server')}" for name in ("open", "mixed", "hidden")
    }


@pytest.fixture(scope="module")
def ruled(
    shared: Launcher, spies: dict[str, str], tokens: Tokens, tmp_path_factory: pytest.TempPathFactory
) -> Gateway:
    """Callers may use all of `open`, one tool of `mixed`, and nothing of `hidden`."""
    file = tmp_path_factory.mktemp("policy") / "policy.yaml"
    file.write_text(POLICY)
    servers = [{"name": name, "urls": [f"{url}/mcp"]} for name, url in spies.items()]
    config = {"auth": tokens.auth, "authorization": {"policy_file": str(file)}, "servers": servers}
    return shared.gateway({**config, "upstream": {"list_seconds": 20}})


def code_of(gateway: Gateway, era: str, method: str, params: dict[str, Any], token: str) -> int:
    """The code of the error that there must be; names may hold anything, so their header is encoded."""
    headers = {"Authorization": f"Bearer {token}"}
    if era == "handshake":
        return gateway.legacy(method, params, **headers).json()["error"]["code"]
    if name := params.get("name") or params.get("uri"):
        headers["Mcp-Name"] = encode_value(name)
    return gateway.mcp(method, params, headers=headers).json()["error"]["code"]


def post(gateway: Gateway, content: Any, token: str, **headers: str) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {token}", **headers}
    return httpx2.post(f"{gateway.url}/mcp", json=content, headers=headers, timeout=20)


@pytest.mark.parametrize("era", ERAS)
def test_a_hidden_tool_is_refused_on_every_route(
    ruled: Gateway, spies: dict[str, str], tokens: Tokens, era: str
) -> None:
    """CVE-2026-46519, CVE-2026-77243, CVE-2026-14537: allow-lists that only filtered `tools/list`."""
    token = tokens.make()
    assert "result" in ask(ruled, era, "tools/call", {"name": "mixed__read"}, token).json()
    before = {name: seen(url) for name, url in spies.items()}
    for name in HIDDEN:
        assert code_of(ruled, era, "tools/call", {"name": name}, token) == -32602, name
    call = {"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "mixed__put"}}
    assert post(ruled, call, token).status_code == 202
    assert post(ruled, [{**call, "id": 1}], token).status_code == 400
    twice = (
        '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"mixed__read","name":"mixed__put"}}'
    )
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    assert "error" in httpx2.post(f"{ruled.url}/mcp", content=twice, headers=headers).json()
    for method, params in (
        ("resources/read", {"uri": "mixed+note://x"}),
        ("resources/read", {"uri": "hidden+note://x"}),
        ("prompts/get", {"name": "mixed__put"}),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": "hidden__x"}, "argument": {}}),
    ):
        assert code_of(ruled, era, method, params, token) == -32602, params
    assert {name: seen(url) for name, url in spies.items()} == before
    shown = httpx2.get(f"{ruled.url}/tools", headers=headers).json()["tools"]
    assert {tool["name"] for tool in shown if not tool["name"].startswith("open__")} == {"mixed__read"}


SPELLINGS = st.one_of(
    st.sampled_from(["hidden", "HIDDEN", "hidden ", " hidden", "hidden\u200b", "%68idden", "open/../hidden"]),
    st.text(max_size=12),
)


@settings(max_examples=40)
@given(server=SPELLINGS, separator=st.sampled_from(["__", "_", "+", "/", "."]), era=st.sampled_from(ERAS))
def test_no_spelling_of_a_server_leads_around_the_policy(
    ruled: Gateway, spies: dict[str, str], tokens: Tokens, server: str, separator: str, era: str
) -> None:
    """CVE-2026-101084: a route that looked up servers by an id without asking whose they are."""
    token = tokens.make(exp=4_000_000_000)
    assert code_of(ruled, era, "tools/call", {"name": f"{server}{separator}read"}, token) == -32602
    assert code_of(ruled, era, "resources/read", {"uri": f"{server}+note://x"}, token) == -32602
    assert seen(spies["hidden"]) == []


@pytest.mark.parametrize(
    ("auth", "message"),
    [
        (None, "auth is missing"),
        ({}, "auth.audience is missing"),
        ("", "auth"),
        ({"issuers": []}, "issuers"),
        ({"issuers": [{"issuer": ISSUER}]}, "exactly one of"),
        ({"issuers": [{"issuer": ISSUER, "secret": "changeme"}]}, "is not a setting"),
        ({"issuers": [{"issuer": ISSUER, "public_key_file": "weak.pem"}]}, "RSA of 2048 bits or more"),
        ({"issuers": [{"issuer": ISSUER, "public_key_file": "secret.pem"}]}, "no PEM public key"),
        ({"issuers": [{"issuer": ISSUER, "public_key_file": "private.pem"}]}, "no PEM public key"),
    ],
)
def test_there_is_no_default_secret_and_no_weak_one(tmp_path: Path, auth: Any, message: str) -> None:
    """CVE-2026-53709: tokens signed with the secret that the product was delivered with."""
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - that it is weak is the point
    public = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    (tmp_path / "weak.pem").write_bytes(weak.public_key().public_bytes(*public))
    (tmp_path / "secret.pem").write_text("changeme")
    private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (tmp_path / "private.pem").write_bytes(ec.generate_private_key(ec.SECP256R1()).private_bytes(*private))
    if auth:
        auth = {"audience": AUDIENCE, **auth}
        for issuer in auth["issuers"]:
            if "public_key_file" in issuer:
                issuer["public_key_file"] = str(tmp_path / issuer["public_key_file"])
    found = refused_at_start(tmp_path, {} if auth is None else {"auth": auth})
    assert message in found


@pytest.mark.parametrize(
    "secret", ["", "secret", "changeme", "my-test-key", "your-256-bit-secret", "password"]
)
def test_well_known_secrets_sign_nothing(guarded: Gateway, tokens: Tokens, secret: str) -> None:
    """CVE-2026-53709, again: whatever secret somebody guesses, there is none."""
    token = signed_by_secret(tokens.claims(), secret)
    assert ask(guarded, "stateless", "tools/list", {}, token).status_code == 401


COMMANDS = (
    "/",
    "/servers",
    "/mcp/servers",
    "/mcp-rest/test/connection",
    "/mcp/test",
    "/stdio",
    "/admin/servers",
)


def test_nothing_takes_a_command(gateway: Gateway, tmp_path: Path) -> None:
    """CVE-2026-42271, CVE-2026-30623, CVE-2026-79538, CVE-2025-49596: programs started for a request."""
    made = tmp_path / "made"
    body = {
        "command": "touch",
        "args": [str(made)],
        "transport": "stdio",
        "transportType": "stdio",
        "name": "x",
    }
    query = f"?transportType=stdio&command=touch&args={made}"
    for path in COMMANDS:
        for method in ("POST", "PUT", "PATCH"):
            response = httpx2.request(method, f"{gateway.url}{path}{query}", json=body)
            assert 400 <= response.status_code < 500, (method, path)
    for method in ("tools/call", "servers/add", "initialize"):
        gateway.legacy(method, {**body, "server": body})
    assert not made.exists()


@pytest.mark.parametrize("key", ["command", "args", "env"])
def test_no_server_is_a_command(tmp_path: Path, key: str) -> None:
    """As above, and CVE-2025-6514: a configuration that names programs to run."""
    server = {"name": "a", "urls": ["http://127.0.0.1:9/mcp"], key: "touch"}
    config = {"auth": "none", "listen": {"host": "127.0.0.1"}, "servers": [server]}
    assert f"{key} is not a setting" in refused_at_start(tmp_path, config)


PAGES = ("/mcp", "/config", "/tools")


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_web_pages_of_others_get_nothing_by_a_name_of_their_own(
    gateway: Gateway, method: str, path: str
) -> None:
    """CVE-2025-66416: DNS rebinding makes a browser send a foreign Host; other pages send their Origin."""
    url = f"{gateway.url}{path}"
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    for headers, status in (
        ({"Host": "evil.test"}, 421),
        ({"Host": "127.0.0.1.evil.test:80"}, 421),
        ({"Host": "localhost@evil.test"}, 421),
        ({"Origin": "https://evil.test"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1.evil.test"}, 403),
    ):
        response = httpx2.request(method, url, headers=headers, json=body)
        assert response.status_code in {status, 405}, (headers, response.text)
        assert "access-control-allow-origin" not in response.headers
        assert "alpha__add" not in response.text


def test_a_session_of_somebody_else_is_worth_nothing(guarded: Gateway, tokens: Tokens) -> None:
    """CVE-2026-52869: whoever knew a session's id took part in it."""
    ada, eve = tokens.make(sub="ada"), tokens.make(sub="eve", scope="mcp:read")
    greeting = {"protocolVersion": "2025-11-25", "capabilities": {"elicitation": {}}}
    session = guarded.legacy("initialize", greeting, Authorization=f"Bearer {ada}").headers["mcp-session-id"]
    with_session = {"Authorization": f"Bearer {eve}", "Mcp-Session-Id": session}
    refused = guarded.legacy(
        "tools/call", {"name": "alpha__add", "arguments": {"a": 1, "b": 2}}, **with_session
    )
    assert refused.status_code == 403
    assert guarded.legacy("tools/list", None, **{"Mcp-Session-Id": session}).status_code == 401
    anonymous = {"Accept": "text/event-stream", "Mcp-Session-Id": session}
    assert httpx2.get(f"{guarded.url}/mcp", headers=anonymous).status_code == 401
    assert httpx2.delete(f"{guarded.url}/mcp", headers=with_session).status_code == 405
    reply = {"jsonrpc": "2.0", "id": session, "result": {"action": "accept"}}
    assert post(guarded, reply, eve, **{"Mcp-Session-Id": session}).status_code == 400


def test_sessions_that_nobody_ends_cost_nothing(launcher: Launcher, spies: dict[str, str]) -> None:
    """CVE-2026-59951: a session for each `initialize`, kept for ever. (10,000 junk requests: tests/fuzz.)"""
    servers = [{"name": "spy", "urls": [f"{spies['open']}/mcp"]}]
    gateway = launcher.gateway({"auth": "none", "servers": servers})
    body = {"jsonrpc": "2.0", "id": 1, "method": "initialize"}
    params = {"protocolVersion": "2025-11-25", "capabilities": {"elicitation": {}}}

    def open_sessions(client: httpx2.Client, count: int) -> None:
        for _ in range(count):
            answer = client.post(f"{gateway.url}/mcp", json={**body, "params": params})
            assert answer.headers["mcp-session-id"]

    with httpx2.Client(timeout=20) as client:
        open_sessions(client, 500)
        before = resident(gateway)
        open_sessions(client, 1500)
    assert resident(gateway) < before + 4 * 1024 * 1024


def test_the_sdk_has_its_fixes() -> None:
    """CVE-2025-66416, CVE-2026-52869, CVE-2026-59951, CVE-2026-116686 in the SDK: fixed in 2.2.0."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    pinned = [line for extra in extras.values() for line in extra if line.startswith("mcp>")]
    assert pinned
    assert all(line.startswith("mcp>=2.3") for line in pinned)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "gateway.test"])
def test_without_tokens_only_this_machine_gets_in(tmp_path: Path, host: str) -> None:
    """CVE-2026-32211: a server for everybody on the network, without a question asked."""
    config = {"auth": "none", "servers": [{"name": "a", "urls": ["http://127.0.0.1:9/mcp"]}]}
    listen = {"host": host, "port": 0, "ops_port": 0}
    assert "auth: none is allowed where only this machine" in refused_at_start(
        tmp_path, {**config, "listen": listen}
    )


def test_nobody_else_listens(gateway: Gateway) -> None:
    """CVE-2026-32211, again: both ports of a gateway on loopback are on loopback only."""
    ports = {int(url.rsplit(":", 1)[1]) for url in (gateway.url, gateway.ops_url)}
    addresses: dict[int, set[str]] = {port: set() for port in ports}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{gateway.process.popen.pid}/net/{table}").read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            address, port = local.rsplit(":", 1)
            if state == "0A" and int(port, 16) in ports:
                addresses[int(port, 16)].add(address)
    assert set().union(*addresses.values()) == {f"{socket.htonl(0x7F000001):08X}"}
