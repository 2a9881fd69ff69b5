"""The admin API: who may use it, what it shows, and what it changes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

if TYPE_CHECKING:
    from conftest import Gateway, Launcher, RedisServer, Tokens

OPEN_POLICY = 'rules:\n  - {effect: allow, groups: ["*"], servers: ["*"], tools: ["*"]}\n'
CLOSED_POLICY = 'rules:\n  - {effect: allow, groups: ["*"], servers: ["*"], tools: [which]}\n'
ADD = {"name": "alpha__add", "arguments": {"a": 1, "b": 2}}
ROUTES = [
    ("GET", "/admin/servers"),
    ("GET", "/admin/breakers"),
    ("POST", "/admin/breakers/alpha"),
    ("GET", "/admin/cache"),
    ("DELETE", "/admin/cache"),
    ("GET", "/admin/limits"),
    ("DELETE", "/admin/limits"),
    ("POST", "/admin/reload"),
]


class Admin:
    """Calls the API as an administrator."""

    def __init__(self, gateway: Gateway, token: str | None) -> None:
        self.gateway = gateway
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def __call__(self, method: str, path: str, content: Any = None, **headers: str) -> httpx2.Response:
        url = f"{self.gateway.url}/admin/{path}"
        return httpx2.request(method, url, json=content, headers={**self._headers, **headers}, timeout=20)


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("policy") / "policy.yaml"
    file.write_text(OPEN_POLICY)
    return file


@pytest.fixture(scope="module")
def governed(
    shared: Launcher, alpha: str, odd: str, beta: list[str], tokens: Tokens, policy: Path
) -> Gateway:
    """Looks at its policy by itself only once an hour; the audit stream is in its log."""
    servers = [
        {"name": name, "urls": urls} for name, urls in (("alpha", [alpha]), ("beta", beta), ("odd", [odd]))
    ]
    return shared.gateway(
        {
            "auth": tokens.auth,
            "authorization": {"policy_file": str(policy), "reload_seconds": 3600},
            "servers": servers,
            "upstream": {"breaker": {"min_calls": 2, "open_seconds": 3600}, "eject_failures": 1},
            "limits": {"principal": {"per_second": 0.001, "burst": 100}},
            "audit": {"sink": "log"},
            "cache": {"tools": [{"match": "beta__which"}]},
        }
    )


@pytest.fixture
def admin(governed: Gateway, tokens: Tokens, request: pytest.FixtureRequest) -> Admin:
    """Each test has an administrator of its own, so that limits don't add up."""
    return Admin(governed, tokens.make(scope="mcp:admin", sub=request.node.name))


def bearer(tokens: Tokens, **claims: Any) -> dict[str, Any]:
    return {"headers": {"Authorization": f"Bearer {tokens.make(**claims)}"}}


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_scope_of_its_own_is_needed(governed: Gateway, tokens: Tokens, method: str, path: str) -> None:
    assert httpx2.request(method, f"{governed.url}{path}").status_code == 401
    for scope in ("mcp:read mcp:call", "mcp:administrator", None):
        response = httpx2.request(method, f"{governed.url}{path}", **bearer(tokens, scope=scope))
        assert (response.status_code, response.json()["reason"]) == (403, "scope")
        assert 'scope="mcp:admin"' in response.headers["www-authenticate"]


def test_the_scope_grants_nothing_else_and_is_not_offered(governed: Gateway, tokens: Tokens) -> None:
    alone = bearer(tokens, scope="mcp:admin")
    assert httpx2.get(f"{governed.url}/config", **alone).status_code == 403
    assert governed.mcp("tools/call", ADD, **alone).status_code == 403
    metadata = httpx2.get(f"{governed.url}/.well-known/oauth-protected-resource").json()
    assert "mcp:admin" not in metadata["scopes_supported"]
    assert "mcp:admin" not in governed.mcp("tools/list").headers["www-authenticate"]


def test_without_auth_loopback_may(gateway: Gateway) -> None:
    assert Admin(gateway, None)("GET", "servers").status_code == 200
    assert Admin(gateway, None)("GET", "servers", Origin="https://evil.test").status_code == 403


def test_servers_are_shown_with_their_endpoints(admin: Admin, tokens: Tokens, beta: list[str]) -> None:
    shown = admin("GET", "servers").json()
    assert set(shown) == {"replica", "version", "servers"}
    found = {it["name"]: it for it in shown["servers"]}
    assert list(found) == ["alpha", "beta", "odd"]
    assert sorted(it["url"] for it in found["beta"]["endpoints"]) == sorted(beta)
    assert all(it["trusted"] for it in found["beta"]["endpoints"])
    assert found["alpha"]["pool"] == {"slots": 10, "used": 0, "waiting": 0}
    slow = {"name": "alpha__slow", "arguments": {"seconds": 5}}
    call = threading.Thread(
        target=admin.gateway.mcp, args=("tools/call", slow), kwargs=bearer(tokens, sub="slow")
    )
    call.start()

    in_flight = 'mcp_gateway_upstream_in_flight{server="alpha"}'
    admin.gateway.wait_for(lambda: admin.gateway.metric(in_flight) == 1, "the call at its server")

    def in_use() -> bool:
        (server,) = (it for it in admin("GET", "servers").json()["servers"] if it["name"] == "alpha")
        return (server["pool"]["used"], server["endpoints"][0]["in_flight"]) == (1, 1)

    admin.gateway.wait_for(in_use, "the call in flight")
    call.join()


def test_an_endpoint_that_failed_is_shown_to_rest(launcher: Launcher, odd: str) -> None:
    upstream = {"eject_failures": 1, "breaker": {"min_calls": 100}}
    gateway = launcher.gateway(
        {"auth": "none", "servers": [{"name": "odd", "urls": [odd]}], "upstream": upstream}
    )
    gateway.mcp("tools/call", {"name": "odd__html", "arguments": {}})
    (server,) = Admin(gateway, None)("GET", "servers").json()["servers"]
    assert server["endpoints"][0]["failures"] == 1
    assert 0 < server["endpoints"][0]["resting_seconds"] <= 30


def test_a_breaker_is_held_open_until_it_is_reset(admin: Admin, tokens: Tokens) -> None:
    def call() -> dict[str, Any]:
        return admin.gateway.mcp("tools/call", ADD, **bearer(tokens, sub="breaker")).json()

    assert "result" in call()
    held = admin("POST", "breakers/alpha", {"action": "open"}).json()
    assert (held["state"], held["held"], held["seconds_left"]) == ("open", True, None)
    assert "keeps failing" in call()["error"]["message"]
    assert admin("GET", "breakers").json()["breakers"][0] == held
    closed = admin("POST", "breakers/alpha", {"action": "reset"}).json()
    assert (closed["state"], closed["held"], closed["calls"], closed["failures"]) == ("closed", False, 0, 0)
    assert "result" in call()


def test_a_breaker_that_opened_by_itself_is_reset(admin: Admin, tokens: Tokens) -> None:
    def state() -> dict[str, Any]:
        (found,) = (it for it in admin("GET", "breakers").json()["breakers"] if it["server"] == "odd")
        return found

    for _ in range(2):
        admin.gateway.mcp("tools/call", {"name": "odd__html", "arguments": {}}, **bearer(tokens, sub="opens"))
    assert (state()["state"], state()["held"]) == ("open", False)
    assert 3000 < state()["seconds_left"] <= 3600
    admin("POST", "breakers/odd", {"action": "reset"})
    answer = admin.gateway.mcp("tools/call", {"name": "odd__link"}, **bearer(tokens, sub="opens"))
    assert "result" in answer.json()


@pytest.mark.parametrize(
    ("path", "content", "status", "reason"),
    [
        ("breakers/nowhere", {"action": "open"}, 404, "unknown_server"),
        ("breakers/alpha", {"action": "explode"}, 400, "body"),
        ("breakers/alpha", {"action": "open", "for": 5}, 400, "body"),
        ("breakers/alpha", ["open"], 400, "body"),
        ("breakers/alpha", None, 415, "content_type"),
        ("breakers/alpha/beta", {"action": "open"}, 404, "not_found"),
        ("breakers/", {"action": "open"}, 404, "not_found"),
        ("reload?what=all", {}, 400, "query"),
    ],
)
def test_wrong_requests_are_problems(admin: Admin, path: str, content: Any, status: int, reason: str) -> None:
    response = admin("POST", path, content)
    assert (response.status_code, response.json()["reason"]) == (status, reason)
    assert response.headers["content-type"] == "application/problem+json"


def test_the_cache_is_shown_and_purged(admin: Admin, tokens: Tokens) -> None:
    who = bearer(tokens, sub="cached")

    def kept() -> dict[tuple[str, str], int]:
        return {(it["server"], it["cache"]): it["entries"] for it in admin("GET", "cache").json()["kept"]}

    def hits() -> float:
        return admin.gateway.metric('mcp_cache_hits_total{cache="tools",level="l1",server="beta"}')

    def call() -> None:
        assert "result" in admin.gateway.mcp("tools/call", {"name": "beta__which"}, **who).json()

    def fill() -> bool:
        call()
        return kept().get(("beta", "tools")) == 1

    admin.gateway.wait_for(fill, "a kept result, once the versions of all replicas are known")
    before = hits()
    call()
    assert hits() == before + 1
    assert admin("DELETE", "cache?server=alpha").json() == {
        "server": "alpha",
        "cache": None,
        "replicas": "this",
    }
    assert ("beta", "tools") in kept()
    assert admin("DELETE", "cache?server=beta&cache=reads").is_success
    assert ("beta", "tools") in kept()
    assert admin("DELETE", "cache?server=beta&cache=tools").is_success
    assert ("beta", "tools") not in kept()
    call()
    assert hits() == before + 1
    assert admin("DELETE", "cache").json() == {"server": None, "cache": None, "replicas": "this"}
    assert kept() == {}
    assert admin("GET", "cache").json()["bytes"] == 0


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("server=nowhere", 404),
        ("cache=tools", 400),
        ("server=beta&cache=everything", 400),
        ("sever=beta", 400),
    ],
)
def test_what_is_purged_must_be_there(admin: Admin, query: str, status: int) -> None:
    assert admin("DELETE", f"cache?{query}").status_code == status


def test_what_a_caller_used_up_is_shown_and_forgotten(admin: Admin, tokens: Tokens) -> None:
    issuer, subject = "https://issuer.test", "busy caller"
    busy = bearer(tokens, sub=subject)
    path = f"limits?{httpx2.QueryParams(subject=subject, issuer=issuer)}"
    for _ in range(100):
        admin.gateway.mcp("server/discover", **busy)
    assert admin.gateway.mcp("server/discover", **busy).status_code == 429
    shown = admin("GET", path).json()
    assert (shown["counted"], shown["redis"]) == ("replica", None)
    assert shown["settings"]["principal"] == {"per_second": 0.001, "burst": 100}
    used = shown["principal"]["used"]
    assert 99 < used <= 100
    assert shown["principal"] == {"issuer": issuer, "subject": subject, "used": used, "burst": 100}
    assert admin("DELETE", path).json() == {"issuer": issuer, "subject": subject}
    assert admin("GET", path).json()["principal"]["used"] == 0
    assert admin.gateway.mcp("server/discover", **busy).status_code == 200


@pytest.mark.parametrize("query", ["", "?subject=x", "?issuer=x", "?subject=x&issuer=y&all=1"])
def test_whose_use_is_forgotten_must_be_said(admin: Admin, query: str) -> None:
    assert admin("DELETE", f"limits{query}").status_code == 400


def test_use_in_redis_is_shown_and_forgotten_for_all(
    launcher: Launcher, alpha: str, redis_server: RedisServer
) -> None:
    limits = {"principal": {"per_second": 0.001, "burst": 20}}
    config = {"auth": "none", "servers": [{"name": "alpha", "urls": [alpha]}], "limits": limits}
    one, other = (launcher.gateway({**config, "redis": redis_server.patient_settings}) for _ in range(2))
    path = "limits?subject=anonymous&issuer="
    one.wait_for(lambda: Admin(one, None)("GET", "limits").json()["counted"] == "redis", "redis")
    for _ in range(5):
        one.mcp("server/discover")
    assert Admin(other, None)("GET", path).json()["principal"]["used"] > 5
    Admin(other, None)("DELETE", path)
    # Asking is counted, too.
    assert 0 < Admin(one, None)("GET", path).json()["principal"]["used"] <= 1
    redis_server.stop()
    assert Admin(one, None)("GET", path).json()["reason"] == "redis"
    shown = Admin(one, None)("GET", "limits").json()
    assert (shown["counted"], shown["redis"] is None) == ("replica", False)


def test_the_policy_is_read_at_once(admin: Admin, tokens: Tokens, policy: Path) -> None:
    def tools() -> list[str]:
        listed = admin.gateway.mcp("tools/list", **bearer(tokens, sub="reload")).json()["result"]["tools"]
        return [it["name"] for it in listed]

    assert "alpha__add" in tools()
    try:
        policy.write_text(CLOSED_POLICY)
        assert admin("POST", "reload").json()["read"] == {"policy": None}
        assert tools() == ["alpha__which", "beta__which"]
        policy.write_text("rules: nonsense")
        assert "rules" in admin("POST", "reload").json()["read"]["policy"]
        assert tools() == ["alpha__which", "beta__which"]
    finally:
        policy.write_text(OPEN_POLICY)
        assert admin("POST", "reload").json()["read"] == {"policy": None}
    assert "alpha__add" in tools()


@pytest.fixture
def published(tokens: Tokens) -> Iterator[ThreadingHTTPServer]:
    """Where an issuer's keys are; `keys` may change."""

    class Server(ThreadingHTTPServer):
        keys: ClassVar = [tokens.key]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            entries = [json.loads(ECAlgorithm.to_jwk(key.public_key())) for key in server.keys]
            self.send_response(200 if entries else 503)
            self.end_headers()
            self.wfile.write(json.dumps({"keys": entries}).encode())

        def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 - the base class names it

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_keys_are_fetched_at_once(launcher: Launcher, alpha: str, tokens: Tokens, published: Any) -> None:
    uri = f"http://127.0.0.1:{published.server_port}/"
    issuer = {"issuer": "https://issuer.test", "jwks": {"uri": uri, "refresh_seconds": 3600}}
    auth = {**tokens.auth, "issuers": [issuer]}
    gateway = launcher.gateway({"auth": auth, "servers": [{"name": "alpha", "urls": [alpha]}]})
    token = tokens.make(scope="mcp:admin")
    admin = Admin(gateway, token)
    name = "keys of https://issuer.test"
    gateway.wait_for(lambda: admin("POST", "reload").status_code == 200, "keys")
    published.keys = []
    assert "503" in admin("POST", "reload").json()["read"][name]
    # The key is withdrawn: who has just asked by it no longer can.
    published.keys = [ec.generate_private_key(ec.SECP256R1())]
    assert admin("POST", "reload").json()["read"] == {name: None}
    assert admin("POST", "reload").status_code == 401


def test_changes_are_audited_and_logged(admin: Admin) -> None:
    done = 'POST /admin/breakers/beta {"action":"reset"}'
    assert admin("POST", "breakers/beta", {"action": "reset"}, **{"X-Request-Id": "audited"}).is_success
    assert admin("GET", "breakers", **{"X-Request-Id": "looked"}).is_success
    assert admin("POST", "breakers/beta", {"action": "reset"}, **{"X-Request-Id": "audited-later"}).is_success
    admin.gateway.wait_for(
        lambda: admin.gateway.logged("audit", request_id="audited-later"), "record, after all others'"
    )
    found = {line["event"]: line for line in admin.gateway.logged(request_id="audited")}
    assert (found["audit"]["kind"], found["audit"]["method"], found["audit"]["outcome"]) == (
        "admin",
        done,
        "ok",
    )
    assert found["audit"]["subject"] == "test_changes_are_audited_and_logged"
    assert found["page"]["action"] == done
    assert [line["event"] for line in admin.gateway.logged(request_id="looked")] == ["page"]
