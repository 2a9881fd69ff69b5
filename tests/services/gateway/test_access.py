"""Who gets in, what they are told when they don't, and that their token goes no further."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

if TYPE_CHECKING:
    from conftest import Gateway, Launcher, Tokens

METADATA = "https://gateway.test/.well-known/oauth-protected-resource/mcp"
LEGACY_BODY = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


def challenge(response: httpx2.Response) -> dict[str, str]:
    scheme, _, parameters = response.headers["www-authenticate"].partition(" ")
    assert scheme == "Bearer"
    return dict(re.findall(r'(\w+)="([^"]*)"', parameters))


def bearer(token: str) -> dict[str, Any]:
    return {"headers": {"Authorization": f"Bearer {token}"}}


def test_a_token_lets_in(guarded: Gateway, tokens: Tokens) -> None:
    good = bearer(tokens.make())
    assert guarded.mcp("tools/list", **good).json()["result"]["tools"]
    assert guarded.mcp("tools/call", {"name": "alpha__add", "arguments": {"a": 1, "b": 2}}, **good).is_success
    assert guarded.legacy("initialize", Authorization=f"bearer {tokens.make()}").is_success


def test_without_a_token_the_way_to_one_is_shown(guarded: Gateway) -> None:
    response = guarded.mcp("tools/list")
    assert response.status_code == 401
    assert challenge(response) == {"resource_metadata": METADATA, "scope": "mcp:read mcp:call"}
    assert response.json()["error"]["message"] == "a bearer token is needed"


def forged(tokens: Tokens) -> dict[str, str]:
    """Tokens that prove nothing, by why."""
    other = ec.generate_private_key(ec.SECP256R1())
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    past, future = int(time.time()) - 60, int(time.time()) + 3600
    return {
        "signature": jwt.encode(tokens.claims(), other, "ES256"),
        "algorithm": jwt.encode(tokens.claims(), rsa_key, "RS256"),
        "unsigned": unsigned(tokens.claims()),
        "public key as secret": hmac_signed(tokens.claims(), tokens.public),
        "expired": tokens.make(exp=past),
        "not yet": tokens.make(nbf=future),
        "issued later": tokens.make(iat=future),
        "audience": tokens.make(aud="https://elsewhere.test/mcp"),
        "no audience": tokens.make(aud=None),
        "issuer": tokens.make(iss="https://evil.test"),
        "no expiry": tokens.make(exp=None),
        "no subject": tokens.make(sub=None),
        "scope is a list": tokens.make(scope=["mcp:read"]),
        "scope is half a character": tokens.make(scope="\ud800"),
        "subject is half a character": tokens.make(sub="\ud800"),
        "an end that is no time": tokens.make(exp=10**400),
        "an algorithm that is no text": f"{part({'alg': ['ES256']})}.{part(tokens.claims())}.",
        "a key id that is no text": f"{part({'alg': 'ES256', 'kid': {}})}.{part(tokens.claims())}.",
        "oversized": tokens.make(filler="x" * 9000),
        "nonsense": "nonsense",
        "tampered": tampered(tokens.make()),
    }


def part(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def unsigned(claims: dict[str, Any]) -> str:
    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims)}."


def hmac_signed(claims: dict[str, Any], secret: bytes) -> str:
    text = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}"
    digest = hmac.new(secret, text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def tampered(token: str) -> str:
    head, claims, signature = token.split(".")
    content = json.loads(base64.urlsafe_b64decode(claims + "==="))
    return f"{head}.{part({**content, 'sub': 'root'})}.{signature}"


def test_forged_tokens_do_not(guarded: Gateway, tokens: Tokens) -> None:
    for why, token in forged(tokens).items():
        for response in (
            guarded.mcp("tools/list", **bearer(token)),
            httpx2.post(f"{guarded.url}/mcp", json=LEGACY_BODY, **bearer(token)),
            httpx2.get(f"{guarded.url}/tools", **bearer(token)),
            httpx2.get(f"{guarded.url}/config", **bearer(token)),
        ):
            assert response.status_code == 401, why
            assert challenge(response)["error"] == "invalid_token", why
            assert token not in response.text


@pytest.mark.parametrize("header", ["Basic dXNlcjpwYXNz", "Bearer", "Token x", "\xe9"])
def test_other_schemes_do_not(guarded: Gateway, header: str) -> None:
    headers = [(b"Authorization", header.encode("latin-1"))]
    assert httpx2.post(f"{guarded.url}/mcp", json=LEGACY_BODY, headers=headers).status_code == 401


def test_two_tokens_are_none(guarded: Gateway, tokens: Tokens) -> None:
    headers = [("Authorization", f"Bearer {tokens.make()}")] * 2
    assert httpx2.post(f"{guarded.url}/mcp", json=LEGACY_BODY, headers=headers).status_code == 400


def test_scopes(guarded: Gateway, tokens: Tokens) -> None:
    reader, caller = bearer(tokens.make(scope="mcp:read")), bearer(tokens.make(scope="mcp:call"))
    call = {"name": "alpha__add", "arguments": {"a": 1, "b": 2}}
    assert guarded.mcp("tools/list", **reader).is_success
    assert guarded.mcp("tools/call", call, **caller).is_success
    assert guarded.mcp("server/discover", **bearer(tokens.make(scope=None))).is_success
    for method, params, who, scope in (
        ("tools/call", call, reader, "mcp:call"),
        ("tools/list", None, caller, "mcp:read"),
        ("resources/read", {"uri": "alpha+note://first"}, caller, "mcp:read"),
        ("prompts/list", None, bearer(tokens.make(scope="mcp:reader")), "mcp:read"),
    ):
        response = guarded.mcp(method, params, **who)
        assert response.status_code == 403
        expected = {"resource_metadata": METADATA, "error": "insufficient_scope", "scope": scope}
        assert challenge(response) == expected


def test_refusals_are_counted(guarded: Gateway, tokens: Tokens) -> None:
    series = 'mcp_security_violations_total{reason="token_expired"}'
    before = guarded.metric(series)
    guarded.mcp("tools/list", **bearer(tokens.make(exp=int(time.time()) - 60)))
    assert guarded.metric(series) == before + 1


def test_metadata(guarded: Gateway, gateway: Gateway) -> None:
    for path in ("/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"):
        document = httpx2.get(f"{guarded.url}{path}").json()
        assert document["resource"] == "https://gateway.test/mcp"
        assert document["authorization_servers"] == ["https://issuer.test"]
        assert document["scopes_supported"] == ["mcp:read", "mcp:call"]
        assert httpx2.get(f"{gateway.url}{path}").status_code == 404


def test_the_callers_token_goes_no_further(guarded: Gateway, tokens: Tokens) -> None:
    token = tokens.make()
    call = {"name": "odd__mirror", "arguments": {"text": "hello"}}
    extra = {"Cookie": "session=canary", "X-Other": "canary", "Mcp-Param-Region": "eu"}
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    meta = {"test/own": 1, "traceparent": trace}
    options = {"headers": {"Authorization": f"Bearer {token}", **extra}, "meta": meta}
    text = guarded.mcp("tools/call", call, **options).json()["result"]["content"][0]["text"]
    arrived = json.loads(text)
    assert arrived["headers"]["mcp-param-region"] == "eu"
    assert arrived["headers"]["x-request-id"]
    assert arrived["headers"]["traceparent"] == trace
    assert arrived["headers"]["mcp-name"] == arrived["request"]["params"]["name"] == "mirror"
    assert arrived["request"]["params"]["arguments"] == {"text": "hello"}
    meta = arrived["request"]["params"]["_meta"]
    assert meta["test/own"] == 1
    assert meta["io.modelcontextprotocol/clientInfo"]["name"] == "mcp-gateway"
    assert "canary" not in text
    log = guarded.log()
    for piece in token.split("."):
        assert piece not in text
        assert piece not in log


def test_arguments_are_not_logged_but_who_called_what_is(guarded: Gateway, tokens: Tokens) -> None:
    call = {"name": "alpha__add", "arguments": {"a": 8123461, "b": 2}}
    meta = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    headers = {"X-Request-Id": "audit-me", **bearer(tokens.make())["headers"]}
    guarded.mcp("tools/call", call, headers=headers, meta=meta)
    (line,) = guarded.logged("request", request_id="audit-me")
    assert (line["user"], line["server"], line["name"], line["status"]) == ("ada", "alpha", "add", 200)
    assert (line["method"], line["trace_id"]) == ("tools/call", "0af7651916cd43dd8448eb211c80319c")
    assert line["duration_ms"] > 0
    assert "8123461" not in guarded.log()


def test_pages(guarded: Gateway, tokens: Tokens) -> None:
    headers = bearer(tokens.make())
    names = [tool["name"] for tool in httpx2.get(f"{guarded.url}/tools", **headers).json()["tools"]]
    assert "alpha__add" in names
    config = httpx2.get(f"{guarded.url}/config", **headers).json()
    assert config["auth"]["audience"] == "https://gateway.test/mcp"
    assert config["upstream"]["timeout_seconds"] == 30
    assert httpx2.get(f"{guarded.url}/health").json()["status"] == "ready"
    assert httpx2.get(f"{guarded.url}/nothing", **headers).status_code == 404
    assert httpx2.post(f"{guarded.url}/tools", **headers).status_code == 405


def test_an_issuer_may_have_two_keys(launcher: Launcher, alpha: str, tmp_path: Path, tokens: Tokens) -> None:
    (tmp_path / "next").mkdir()
    following = type(tokens)(tmp_path / "next")
    auth = {**tokens.auth, "issuers": [*tokens.auth["issuers"], *following.auth["issuers"]]}
    both = launcher.gateway({"auth": auth, "servers": [{"name": "alpha", "urls": [alpha]}]})
    assert both.mcp("tools/list", **bearer(tokens.make())).is_success
    assert both.mcp("tools/list", **bearer(following.make())).is_success
