"""CVEs of other gateways, servers and SDKs that were about what they fetched: a test for each."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm

from tests.services.gateway.attacks import (
    AUDIENCE,
    ISSUER,
    Site,
    ask,
    by_jwks,
    published,
    refused_at_start,
    seen,
    signed_by_secret,
    token_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Gateway, Launcher

METADATA_SERVICE = "http://169.254.169.254/latest/meta-data/iam/"


@pytest.fixture
def site() -> Iterator[Site]:
    found = Site()
    yield found
    found.close()


@pytest.fixture
def canary() -> Iterator[Site]:
    """Where nobody must come."""
    found = Site()
    yield found
    found.close()


@pytest.fixture(scope="module")
def spy(shared: Launcher) -> str:
    """A server that tells what it was asked."""
    return f"http://127.0.0.1:{shared.program('flaky_server')}"


def test_a_verifier_that_fails_lets_nobody_through(launcher: Launcher, spy: str, site: Site) -> None:
    """CVE-2026-59822: a failing check of the token fell back to passing the request through."""
    key = ec.generate_private_key(ec.SECP256R1())
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - that it is weak is the point
    secret = {"kty": "oct", "k": base64.urlsafe_b64encode(b"changeme").decode(), "alg": "HS256"}
    gateway = launcher.gateway(by_jwks(f"{site.url}/keys", spy))
    before = seen(spy)
    for status, delay, body in (
        (500, 0.0, published(key)),
        (404, 0.0, b"not found"),
        (200, 0.0, b""),
        (200, 0.0, b'{"keys": []}'),
        (200, 0.0, b"<html>"),
        (200, 0.0, b"[" * 100_000),
        (200, 0.0, published(key, use="enc")),
        (200, 0.0, published(weak)),
        (200, 0.0, json.dumps({"keys": [secret]}).encode()),
        (200, 0.0, b'{"keys": [' + b" " * 400_000 + b"]}"),
        (200, 60.0, published(key)),
    ):
        site.status, site.delay, site.body = status, delay, body
        count = len(site.visits)
        gateway.wait_for(lambda now=count: len(site.visits) > now + 1, "a fetch of the keys")
        for token in (
            token_of(key),
            signed_by_secret({"iss": ISSUER}, "changeme"),
            "nonsense",
        ):
            response = ask(gateway, "stateless", "tools/call", {"name": "spy__read"}, token)
            assert response.status_code in {401, 503}, (body[:50], response.text)
    assert seen(spy) == before
    site.delay, site.body = 0.0, published(key)
    call = ("stateless", "tools/call", {"name": "spy__read"}, token_of(key))
    gateway.wait_for(lambda: ask(gateway, *call).status_code == 200, "the keys")


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "$(touch /tmp/x)", "http://ada:secret@a.test/", "a.test"]
)
def test_addresses_are_addresses(tmp_path: Path, url: str) -> None:
    """CVE-2025-6514: an address that a shell read; and none has a password, which `/config` would show."""
    config = {"auth": "none", "listen": {"host": "127.0.0.1"}, "servers": [{"name": "a", "urls": [url]}]}
    assert "must be an absolute http(s) URL" in refused_at_start(tmp_path, config)


def test_references_in_schemas_are_not_followed(launcher: Launcher, canary: Site, tmp_path: Path) -> None:
    """CVE-2026-116686: a tool's schema made its reader fetch addresses and files."""
    secret = tmp_path / "secret.json"
    secret.write_text('{"properties": {"region": {"x-mcp-header": "Region"}}}')
    references = [f"{canary.url}/schema", f"file://{secret}", str(secret), "//169.254.169.254/x"]
    schema = {
        "type": "object",
        "$ref": references[0],
        "$schema": references[0],
        "$id": references[0],
        "properties": {
            "region": {"x-mcp-header": "Region"},
            **{f"p{n}": {"$ref": it} for n, it in enumerate(references)},
        },
        "allOf": [{"$ref": it} for it in references],
        "$defs": {"x": {"$dynamicRef": references[0]}},
    }
    file = tmp_path / "tools.json"
    file.write_text(json.dumps([{"name": "lure", "inputSchema": schema, "outputSchema": schema}]))
    port = launcher.program("schema_server", str(file))
    servers = [{"name": "lure", "urls": [f"http://127.0.0.1:{port}/mcp"]}]
    gateway = launcher.gateway({"auth": "none", "servers": servers})
    listed = gateway.mcp("tools/list").json()["result"]["tools"]
    assert listed[0]["inputSchema"] == schema
    assert gateway.mcp("tools/call", {"name": "lure__lure", "arguments": {"region": "eu"}}).json()["error"]
    called = gateway.legacy(
        "tools/call", {"name": "lure__lure", "arguments": {"region": "eu", "p0": 1}}
    ).json()
    assert called["result"]["content"][0]["text"] == "eu", "the schema was read, for its headers"
    httpx2.get(f"{gateway.url}/tools")
    assert canary.visits == []


def test_keys_come_from_the_configured_address_only(
    launcher: Launcher, spy: str, site: Site, canary: Site
) -> None:
    """CVE-2026-26118: requests to wherever a redirect leads, such as a cloud's metadata service."""
    key = ec.generate_private_key(ec.SECP256R1())
    canary.body = published(key)
    site.headers = {"location": f"{canary.url}/keys"}
    site.status = 302
    gateway = launcher.gateway(by_jwks(f"{site.url}/keys", spy))
    for site.status in (301, 302, 303, 307, 308):
        count = len(site.visits)
        gateway.wait_for(lambda now=count: len(site.visits) > now + 1, "a fetch of the keys")
        assert ask(gateway, "stateless", "tools/list", {}, token_of(key)).status_code == 503
    assert canary.visits == []


def test_tokens_lead_nowhere(launcher: Launcher, spy: str, site: Site, canary: Site) -> None:
    """CVE-2026-26118, by the token: `jku`, `x5u`, `jwk` and `kid` name keys of the sender's own."""
    good, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    site.body, canary.body = published(good, kid="good"), published(own, kid="own")
    gateway = launcher.gateway(by_jwks(f"{site.url}/keys", spy))
    gateway.wait_for(lambda: ask(gateway, "stateless", "tools/list", {}, token_of(good)).is_success, "keys")
    own_key = json.loads(ECAlgorithm.to_jwk(own.public_key()))
    for header in (
        *({"jku": f"{canary.url}/keys"}, {"x5u": f"{canary.url}/cert"}, {"jku": METADATA_SERVICE}),
        *({"jwk": own_key}, {"kid": f"{canary.url}/keys"}, {"kid": "../../../dev/null"}, {"kid": "own"}),
        *({"kid": "good' OR '1'='1"}, {"kid": "good"}, {"x5c": ["MII="]}, {"kid": "|/usr/bin/touch /tmp/x"}),
    ):
        response = ask(gateway, "stateless", "tools/list", {}, token_of(own, **header))
        assert response.status_code == 401, header
    assert canary.visits == []


def test_a_servers_redirect_leads_nowhere(launcher: Launcher, site: Site, canary: Site) -> None:
    """CVE-2026-26118, by the server: the call, with its arguments, isn't sent on to another address."""
    site.status, site.headers = 307, {"location": f"{canary.url}/mcp", "content-type": "application/json"}
    servers = [{"name": "away", "urls": [f"{site.url}/mcp"]}]
    gateway = launcher.gateway({"auth": "none", "servers": servers})
    assert gateway.mcp("tools/call", {"name": "away__x"}).json()["error"]
    assert gateway.mcp("tools/list").json()["result"]["tools"] == []
    assert site.visits
    assert canary.visits == []


def test_the_metadata_names_only_who_is_configured(guarded: Gateway) -> None:
    """CVE-2025-6514: clients were sent to an address that an attacker could choose."""
    host = {"Host": "evil.test", "X-Forwarded-Host": "evil.test", "Forwarded": "host=evil.test"}
    path = "/.well-known/oauth-protected-resource"
    for headers in ({"X-Forwarded-Host": "evil.test"}, {"Forwarded": "host=evil.test"}):
        document = httpx2.get(f"{guarded.url}{path}", headers=headers).json()
        assert (document["resource"], document["authorization_servers"]) == (
            AUDIENCE,
            ["https://issuer.test"],
        )
        assert "evil.test" not in guarded.mcp("tools/list", headers=headers).headers["www-authenticate"]
    assert "evil.test" not in httpx2.get(f"{guarded.url}{path}", headers=host).text
