"""Issuers that publish their keys: through the gateway, against a real HTTP server."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

if TYPE_CHECKING:
    from conftest import Gateway, Launcher

ISSUER = "https://login.test/"
AUDIENCE = "https://gateway.test/mcp"


class Login:
    """An identity provider: keys by id, and where they are published."""

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {"one": ec.generate_private_key(ec.SECP256R1())}
        self.fetches = 0
        self.up = True
        self.asked: tuple[str, str | None] | None = None
        login = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                login.fetches += 1
                login.asked = (self.path, self.headers["Authorization"])
                self.send_response(200 if login.up else 503)
                self.end_headers()
                self.wfile.write(login.published())

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.uri = f"http://127.0.0.1:{self.server.server_port}/keys"

    def published(self) -> bytes:
        entries: list[dict[str, Any]] = []
        for kid, key in self.keys.items():
            if isinstance(key, rsa.RSAPrivateKey):
                text = RSAAlgorithm.to_jwk(key.public_key())
            else:
                text = ECAlgorithm.to_jwk(key.public_key())
            entries.append({**json.loads(text), "kid": kid})
        return json.dumps({"keys": entries}).encode()

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "iat": now, "exp": now + 300}
        return {**good, "scope": "mcp:read mcp:call", **changes}

    def token(self, kid: str = "one", *, key: Any = None, **changes: Any) -> str:
        key = key or self.keys[kid]
        algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
        return jwt.encode(self.claims(**changes), key, algorithm, headers={"kid": kid})


@pytest.fixture
def login() -> Iterator[Login]:
    found = Login()
    yield found
    found.server.shutdown()
    found.server.server_close()


def config(login: Login, alpha: str, **jwks: Any) -> dict[str, Any]:
    issuers = [{"issuer": ISSUER, "jwks": {"uri": login.uri, **jwks}}]
    servers = [{"name": "alpha", "urls": [alpha]}]
    return {"auth": {"audience": AUDIENCE, "issuers": issuers}, "servers": servers}


def status(gateway: Gateway, token: str) -> int:
    return asked(gateway, token).status_code


def asked(gateway: Gateway, token: str) -> httpx2.Response:
    return gateway.mcp("server/discover", headers={"Authorization": f"Bearer {token}"})


def violations(gateway: Gateway, reason: str) -> float:
    return gateway.metric(f'mcp_security_violations_total{{reason="token_{reason}"}}')


def hmac_signed(claims: dict[str, Any], secret: bytes, kid: str) -> str:
    def part(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    header = json.dumps({"alg": "HS256", "kid": kid}).encode()
    text = f"{part(header)}.{part(json.dumps(claims).encode())}"
    return f"{text}.{part(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


def test_published_keys(launcher: Launcher, alpha: str, login: Login) -> None:
    gateway = launcher.gateway(config(login, alpha))
    assert status(gateway, login.token()) == 200
    other = ec.generate_private_key(ec.SECP256R1())
    assert status(gateway, login.token("two", key=other)) == 401
    assert login.fetches == 1, "an unknown key right after a fetch doesn't make for another"
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = login.keys["one"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    past = int(time.time()) - 60
    for reason, token in {
        "signature": login.token(key=other),
        "algorithm": login.token(key=rsa_key),
        "audience": login.token(aud="https://elsewhere.test"),
        "issuer": login.token(iss="https://evil.test"),
        "expired": login.token(exp=past),
        "not_yet_valid": login.token(nbf=past + 120),
        "oversized": login.token(filler="x" * 9000),
        "unknown_key": login.token("two", key=other),
    }.items():
        before = violations(gateway, reason)
        assert status(gateway, token) == 401, reason
        assert violations(gateway, reason) == before + 1, reason
    before = violations(gateway, "algorithm")
    assert status(gateway, hmac_signed(login.claims(), public, "one")) == 401
    assert status(gateway, hmac_signed(login.claims(), public, "unknown")) == 401
    unsigned = jwt.encode(login.claims(), "", "none", headers={"kid": "one"})
    assert status(gateway, unsigned) == 401
    assert violations(gateway, "algorithm") == before + 3


def test_a_new_key_is_found_and_the_old_one_is_no_longer_accepted(
    launcher: Launcher, alpha: str, login: Login
) -> None:
    gateway = launcher.gateway(config(login, alpha, refresh_seconds=0.1))
    old = login.token()
    assert status(gateway, old) == 200
    login.keys["two"] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    new = login.token("two")
    gateway.wait_for(lambda: status(gateway, new) == 200, "the new key")
    assert status(gateway, old) == 200
    del login.keys["one"]
    gateway.wait_for(lambda: status(gateway, old) == 401, "the old key's end")
    assert status(gateway, new) == 200


def test_keys_outlive_their_issuer(launcher: Launcher, alpha: str, login: Login) -> None:
    gateway = launcher.gateway(config(login, alpha, refresh_seconds=0.1, keep_seconds=3))
    assert status(gateway, login.token()) == 200
    login.up = False
    fetches = login.fetches
    gateway.wait_for(lambda: login.fetches > fetches, "a fetch that fails")
    assert status(gateway, login.token()) == 200
    gateway.wait_for(lambda: status(gateway, login.token()) == 503, "the end of the old keys")
    response = asked(gateway, login.token())
    assert response.headers["retry-after"] == "5"
    login.up = True
    gateway.wait_for(lambda: status(gateway, login.token()) == 200, "keys again")


def test_the_gateway_starts_without_its_issuer(launcher: Launcher, alpha: str, login: Login) -> None:
    login.up = False
    gateway = launcher.gateway(config(login, alpha, refresh_seconds=0.1))
    assert status(gateway, login.token()) == 503
    assert status(gateway, "nonsense") == 401
    login.up = True
    gateway.wait_for(lambda: status(gateway, login.token()) == 200, "keys")


AGENTS = """\
groups:
  agents:
    members: [{issuer: "https://login.test/", subject: "system:serviceaccount:agents:*"}]
    scopes: [mcp:read, mcp:call]
rules:
  - {effect: allow, groups: [agents], servers: [alpha], tools: [add]}
"""


def test_service_accounts_are_who_the_policy_says(
    launcher: Launcher, alpha: str, login: Login, tmp_path: Path
) -> None:
    """The API server's part is played by a plain HTTP server here; the cluster's tests have a real one."""
    (tmp_path / "token").write_text("the gateway's own")
    (tmp_path / "policy.yaml").write_text(AGENTS)
    settings = config(login, alpha)
    api_url = login.uri.removesuffix("/keys")
    keys = {"api_url": api_url, "token_file": str(tmp_path / "token")}
    settings["auth"]["issuers"] = [{"issuer": ISSUER, "kubernetes": keys}]
    gateway = launcher.gateway({**settings, "authorization": {"policy_file": str(tmp_path / "policy.yaml")}})

    def add(namespace: str) -> httpx2.Response:
        token = login.token(sub=f"system:serviceaccount:{namespace}:runner", scope="")
        call = {"name": "alpha__add", "arguments": {"a": 1, "b": 2}}
        return gateway.mcp("tools/call", call, headers={"Authorization": f"Bearer {token}"})

    assert add("agents").json()["result"]["content"][0]["text"] == "3"
    assert login.asked == ("/openid/v1/jwks", "Bearer the gateway's own")
    assert add("others").status_code == 403
